"""Short-lived signed tokens between worker and chunk service, bound to one content: to write it, or to repair it."""

import time
from dataclasses import dataclass
from typing import Any

import jwt

from gridhaul.transfer.errors import Unauthorized
from gridhaul.transfer.model import RecordId

ALGORITHM = "HS256"
AUDIENCE = "gridhaul-chunk-service"
REPAIR_AUDIENCE = "gridhaul-chunk-service-repair"
LIFETIME_SECONDS = 300
CLOCK_LEEWAY_SECONDS = 900  # a worker's clock may be wrong by minutes; fences, not tokens, keep stale workers out


@dataclass(frozen=True, kw_only=True, slots=True)
class ContentGrant:
    """The right to write to one content under one fence."""

    content_id: RecordId
    fence: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairGrant:
    """The right to repair a sealed content. It has no writer, so there is no fence."""

    content_id: RecordId


def sign(grant: ContentGrant, *, secret: str) -> str:
    """A token (JWT, RFC 7519) for the grant, good for five minutes."""
    return _sign({"aud": AUDIENCE, "sub": grant.content_id, "fence": grant.fence}, secret)


def sign_repair(grant: RepairGrant, *, secret: str) -> str:
    """The same, for repairing."""
    return _sign({"aud": REPAIR_AUDIENCE, "sub": grant.content_id}, secret)


def verify(token: str, *, secret: str) -> ContentGrant:
    """The grant of a token. Raises Unauthorized."""
    claims = _verified(token, secret, AUDIENCE)
    if not isinstance(claims.get("fence"), int):
        raise Unauthorized("The token names no fence.")
    return ContentGrant(content_id=RecordId(claims["sub"]), fence=claims["fence"])


def verify_repair(token: str, *, secret: str) -> RepairGrant:
    """The grant of a token for repairing. Raises Unauthorized."""
    return RepairGrant(content_id=RecordId(_verified(token, secret, REPAIR_AUDIENCE)["sub"]))


def _sign(claims: dict[str, Any], secret: str) -> str:
    return jwt.encode({**claims, "exp": int(time.time()) + LIFETIME_SECONDS}, secret, algorithm=ALGORITHM)


def _verified(token: str, secret: str, audience: str) -> dict[str, Any]:
    try:
        return jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            audience=audience,
            leeway=CLOCK_LEEWAY_SECONDS,
            options={"require": ["aud", "sub", "exp"]},
        )
    except jwt.InvalidTokenError:
        raise Unauthorized("The token is not valid here, or no longer.") from None
