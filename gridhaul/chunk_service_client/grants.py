"""Short-lived signed tokens between worker and chunk service. Each is bound to one grant.

A grant allows one of three things: to write one content, to repair one, or to store the contents that one table lists.
"""

import time
from typing import Any

from gridhaul.identity.signed_claims import claims_of_any_time, sign_claims
from gridhaul.transfer.errors import ClocksDiffer, Unauthorized
from gridhaul.transfer.grants import BundleGrant, ContentGrant, RepairGrant
from gridhaul.transfer.model import RecordId

AUDIENCE = "gridhaul-chunk-service"
REPAIR_AUDIENCE = "gridhaul-chunk-service-repair"
BUNDLE_AUDIENCE = "gridhaul-chunk-service-bundle"
LIFETIME_SECONDS = 300
CLOCK_LEEWAY_SECONDS = 900  # a worker's clock may be wrong by minutes; fences, not tokens, keep stale workers out
MOST_SECONDS = LIFETIME_SECONDS + CLOCK_LEEWAY_SECONDS  # a token that is older, or from as far ahead, is refused


def sign(grant: ContentGrant, *, secret: str) -> str:
    """Return a token for the grant, valid for LIFETIME_SECONDS."""
    return _sign({"sub": grant.content_id, "fence": grant.fence}, AUDIENCE, secret)


def sign_repair(grant: RepairGrant, *, secret: str) -> str:
    """Return a token for the grant, as `sign` does."""
    return _sign({"sub": grant.content_id}, REPAIR_AUDIENCE, secret)


def sign_bundle(grant: BundleGrant, *, secret: str) -> str:
    """Return a token for the grant, as `sign` does."""
    return _sign({"sub": grant.table_sha256}, BUNDLE_AUDIENCE, secret)


def verify(token: str, *, secret: str) -> ContentGrant:
    """Return the grant of a token. Raises Unauthorized, and ClocksDiffer for a token of another time."""
    claims = _verified(token, secret, AUDIENCE)
    if not isinstance(claims.get("fence"), int):
        raise Unauthorized("The token names no fence.")
    return ContentGrant(content_id=RecordId(claims["sub"]), fence=claims["fence"])


def verify_repair(token: str, *, secret: str) -> RepairGrant:
    """Return the grant of a token for repairing. Raises as `verify` does."""
    return RepairGrant(content_id=RecordId(_verified(token, secret, REPAIR_AUDIENCE)["sub"]))


def verify_bundle(token: str, *, secret: str) -> BundleGrant:
    """Return the grant of a token for a bundle. Raises as `verify` does."""
    return BundleGrant(table_sha256=str(_verified(token, secret, BUNDLE_AUDIENCE)["sub"]))


def _sign(claims: dict[str, Any], audience: str, secret: str) -> str:
    return sign_claims(claims, audience=audience, lifetime_seconds=LIFETIME_SECONDS, secret=secret)


def _verified(token: str, secret: str, audience: str) -> dict[str, Any]:
    claims = claims_of_any_time(token, audience=audience, secret=secret)
    off_seconds = abs(claims["exp"] - LIFETIME_SECONDS - time.time())
    if off_seconds > MOST_SECONDS:
        minutes = int(off_seconds / 60)
        raise ClocksDiffer(f"The clocks of worker and chunk service differ by {minutes} minutes; set them right.")
    return claims
