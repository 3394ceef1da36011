"""Signed tokens (JWT, RFC 7519): all use one algorithm, and each purpose has an audience of its own."""

import time
from collections.abc import Mapping
from typing import Any

import jwt

from gridhaul.transfer.errors import Unauthorized

ALGORITHM = "HS256"


def sign_claims(claims: Mapping[str, Any], *, audience: str, lifetime_seconds: float, secret: str) -> str:
    """Return a token that is valid for `lifetime_seconds`. `claims` must name the token's subject, `sub`."""
    expires = int(time.time() + lifetime_seconds)
    return jwt.encode({**claims, "aud": audience, "exp": expires}, secret, algorithm=ALGORITHM)


def verified_claims(token: str, *, audience: str, leeway_seconds: float, secret: str) -> dict[str, Any]:
    """Return the claims of a token that the secret signed for this audience.

    Raises Unauthorized, also for a token that expired more than `leeway_seconds` ago.
    """
    try:
        return jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            audience=audience,
            leeway=leeway_seconds,
            options={"require": ["aud", "sub", "exp"]},
        )
    except jwt.InvalidTokenError:
        raise Unauthorized("The token is not valid here, or no longer.") from None
