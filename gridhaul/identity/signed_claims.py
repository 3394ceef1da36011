"""Signed tokens (JWT, RFC 7519): one algorithm, and for each purpose an audience of its own."""

import time
from collections.abc import Mapping
from typing import Any

import jwt

from gridhaul.transfer.errors import Unauthorized

ALGORITHM = "HS256"


def sign_claims(claims: Mapping[str, Any], *, audience: str, lifetime_seconds: float, secret: str) -> str:
    """A token that is good for `lifetime_seconds`. `claims` name its subject, `sub`."""
    expires = int(time.time() + lifetime_seconds)
    return jwt.encode({**claims, "aud": audience, "exp": expires}, secret, algorithm=ALGORITHM)


def verified_claims(token: str, *, audience: str, leeway_seconds: float, secret: str) -> dict[str, Any]:
    """What a token says that was signed with the secret for this audience. Raises Unauthorized."""
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
