"""Short-lived signed tokens between the worker and the chunk service, bound to one content and one fence."""

import time
from dataclasses import dataclass

import jwt

from gridhaul.transfer.errors import Unauthorized
from gridhaul.transfer.model import RecordId

ALGORITHM = "HS256"
AUDIENCE = "gridhaul-chunk-service"
LIFETIME_SECONDS = 300
CLOCK_LEEWAY_SECONDS = 900  # a worker's clock may be wrong by minutes; fences, not tokens, keep stale workers out


@dataclass(frozen=True, kw_only=True, slots=True)
class ContentGrant:
    """The right to write to one content under one fence."""

    content_id: RecordId
    fence: int


def sign(grant: ContentGrant, *, secret: str) -> str:
    """A token (JWT, RFC 7519) for the grant, good for five minutes."""
    claims = {
        "aud": AUDIENCE,
        "sub": grant.content_id,
        "fence": grant.fence,
        "exp": int(time.time()) + LIFETIME_SECONDS,
    }
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def verify(token: str, *, secret: str) -> ContentGrant:
    """The grant of a token. Raises Unauthorized."""
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            leeway=CLOCK_LEEWAY_SECONDS,
            options={"require": ["aud", "sub", "exp"]},
        )
    except jwt.InvalidTokenError:
        raise Unauthorized("The token is not valid here, or no longer.") from None
    if not isinstance(claims.get("fence"), int):
        raise Unauthorized("The token names no fence.")
    return ContentGrant(content_id=RecordId(claims["sub"]), fence=claims["fence"])
