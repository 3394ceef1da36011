"""A memory twin of the activity of accounts at their targets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import attrgetter

from gridhaul.transfer.model import Delivery, RecordId
from gridhaul.transfer.ports.target_activity import ActivityCounting
from gridhaul.transfer.states import DeliveryState
from gridhaul.transfer.target_activity import STOPPED, AccountActivity, LastDelivered, LastError, TargetActivity
from tests.contracts.memory_registry import Row, wall_clock


class MemoryActivityCounting:
    """A twin of `transfer.ports.target_activity.ActivityCounting` over the rows of the deliveries' twin."""

    def __init__(self, deliveries: Mapping[RecordId, Row[Delivery]]) -> None:
        self._deliveries = deliveries

    async def of_account(self, owner: str) -> AccountActivity:
        theirs = [row.record for row in self._deliveries.values() if row.record.owner == owner]
        theirs.sort(key=attrgetter("created_at", "id"), reverse=True)
        names = {delivery.target for delivery in theirs}
        found = {name: _activity([delivery for delivery in theirs if delivery.target == name]) for name in names}
        return AccountActivity(targets=found, counted_at=wall_clock())


def _activity(newest_first: Sequence[Delivery]) -> TargetActivity:
    delivered = [
        LastDelivered(delivery_id=one.id, object_name=one.object_name, at=one.ended_at or one.updated_at)
        for one in newest_first
        if one.state is DeliveryState.DELIVERED
    ]
    errors = [
        LastError(delivery_id=one.id, object_name=one.object_name, at=one.ended_at or one.updated_at, error=one.error)
        for one in newest_first
        if one.state in STOPPED and one.error is not None
    ]
    return TargetActivity(
        counts=Counter(delivery.state for delivery in newest_first),
        last_delivered=next(iter(delivered), None),
        last_error=next(iter(errors), None),
    )


def _check(counting: MemoryActivityCounting) -> ActivityCounting:
    """Let the type checker see that the twin has the methods of its port."""
    return counting
