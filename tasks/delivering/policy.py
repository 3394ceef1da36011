"""The policies that a delivery asks for, and what its target was seen to do."""

from gridhaul.transfer.errors import TargetNotExclusive
from gridhaul.transfer.known_targets import NEEDS_EXCLUSIVE
from gridhaul.transfer.model import Delivery
from gridhaul.transfer.ports.targets import Staging, Target


def require_possible(delivery: Delivery, target: Target) -> None:
    """Raise TargetNotExclusive if the target may replace an object that the delivery's policy protects.

    The target's setting `allow_overwrite_race` accepts that. A target without stages has no such setting, and is not
    judged here.
    """
    if delivery.if_exists not in NEEDS_EXCLUSIVE or not isinstance(target, Staging):
        return
    if not target.abilities.exclusive and not target.allow_overwrite_race:
        raise TargetNotExclusive(target.name)
