"""Signed tokens (JWT, RFC 7519): all use one algorithm, and each purpose has an audience of its own."""

import time
from collections.abc import Mapping
from typing import Any

import jwt
from jwt.types import Options

from gridhaul.transfer.errors import Unauthorized

ALGORITHM = "HS256"
REFUSED = "The token is not valid here, or no longer."


def sign_claims(claims: Mapping[str, Any], *, audience: str, lifetime_seconds: float, secret: str) -> str:
    """Return a token that is valid for `lifetime_seconds`. `claims` must name the token's subject, `sub`."""
    expires = int(time.time() + lifetime_seconds)
    return jwt.encode({**claims, "aud": audience, "exp": expires}, secret, algorithm=ALGORITHM)


def verified_claims(token: str, *, audience: str, leeway_seconds: float, secret: str) -> dict[str, Any]:
    """Return the claims of a token that the secret signed for this audience.

    Raises Unauthorized, also for a token that expired more than `leeway_seconds` ago.
    """
    return _decoded(token, audience, secret, options={}, leeway=leeway_seconds)


def claims_of_any_time(token: str, *, audience: str, secret: str) -> dict[str, Any]:
    """Return the claims of a token that the secret signed for this audience, even if the token has expired.

    Raises Unauthorized. The claim `exp` is a whole number of seconds since 1970.
    """
    claims = _decoded(token, audience, secret, options={"verify_exp": False})
    if type(claims["exp"]) is not int:
        raise Unauthorized(REFUSED)
    return claims


def _decoded(token: str, audience: str, secret: str, *, options: Options, leeway: float = 0.0) -> dict[str, Any]:
    required: Options = {"require": ["aud", "sub", "exp"]}
    try:
        return jwt.decode(
            token, secret, algorithms=[ALGORITHM], audience=audience, leeway=leeway, options={**required, **options}
        )
    except jwt.InvalidTokenError:
        raise Unauthorized(REFUSED) from None
