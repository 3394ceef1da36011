"""The deliveries of an account at each target: how many are in which state, and how the last of them ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gridhaul.transfer.model import Failure, RecordId
from gridhaul.transfer.states import DeliveryState

STOPPED = frozenset({DeliveryState.FAILED, DeliveryState.QUEUED})  # with an error, no attempt goes on in these states


@dataclass(frozen=True, kw_only=True, slots=True)
class LastDelivered:
    delivery_id: RecordId
    object_name: str
    at: datetime  # when the delivery became DELIVERED


@dataclass(frozen=True, kw_only=True, slots=True)
class LastError:
    delivery_id: RecordId
    object_name: str
    at: datetime  # when the delivery became FAILED; when the record was last changed if the delivery waits
    error: Failure


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetActivity:
    """The deliveries of one account to one target."""

    counts: Mapping[DeliveryState, int] = field(default_factory=dict)  # a state without deliveries is left out
    last_delivered: LastDelivered | None = None  # the newest delivery that is DELIVERED, by its creation
    last_error: LastError | None = None  # the newest delivery that is STOPPED with an error, by its creation

    def count(self, *states: DeliveryState) -> int:
        """Return how many deliveries are in these states."""
        return sum(self.counts.get(state, 0) for state in states)


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountActivity:
    targets: Mapping[str, TargetActivity]  # by name; a target without deliveries of the account is left out
    counted_at: datetime  # by the database server's clock, right before the counting began
