"""The registry of deliveries. All methods raise DatabaseUnavailable."""

from collections.abc import Collection, Sequence
from typing import Protocol

from gridhaul.transfer.findings import SkipReason
from gridhaul.transfer.model import Delivery, Lease, NewDelivery, RecordId
from gridhaul.transfer.ports.leasing import LeasedRecords, MovableRecords, ReadableRecords
from gridhaul.transfer.states import DeliveryState


class DeliveryListing(ReadableRecords[Delivery], Protocol):
    async def of_file(self, file_id: RecordId) -> Sequence[Delivery]:
        """Return the file's deliveries, oldest first."""

    async def page(
        self, *, owner: str | None, states: Collection[DeliveryState], limit: int, before: Delivery | None
    ) -> Sequence[Delivery]:
        """Return at most `limit` deliveries in one of the states, newest first, older than `before`.

        None for `owner` means every owner; no states mean every state.
        """

    async def page_of_lost(self, *, owner: str | None, limit: int, before: Delivery | None) -> Sequence[Delivery]:
        """Return at most `limit` deliveries whose object a check found lost, newest first, older than `before`."""


class HeldNames(Protocol):
    async def hold_name(self, lease: Lease, final_name: str) -> bool:
        """Claim the name at the delivery's target until the delivery is over.

        Return False if another delivery holds the name. Raises LeaseLost.
        """


class DeliveryRegistry(DeliveryListing, MovableRecords[Delivery, DeliveryState], Protocol):
    """The deliveries as the api uses them."""

    async def open(self, new: NewDelivery) -> tuple[Delivery, bool]:
        """Return the delivery, and whether this call queued it.

        A delivery is queued again if it is FAILED or CANCELLED. Raises OptionsConflict if the delivery exists with
        another `if_exists` policy.
        """

    async def why_not_ours(self, delivery: Delivery) -> SkipReason | None:
        """Return why the object under the delivery's name need not be the delivery's own; None if it must be.

        The reason is REPLACED or NAME_HELD. A later delivery of the same bytes is no reason.
        """


class DeliverableRecords(LeasedRecords[Delivery, DeliveryState], HeldNames, Protocol):
    """The deliveries as workers use them."""

    async def make(self, new: NewDelivery) -> bool:
        """Queue the delivery if there was never one with its id. Return False if there was, in whatever state."""

    async def claim_cleaning(self, delivery_id: RecordId, *, holder: str) -> Delivery | None:
        """Take the lease of a delivery that is over and left something at its target; its final state stays.

        The cleaning is due once no request of an earlier worker can have an effect any more, and as long as the
        delivery has leftovers. While its final name is one of them, no other delivery can hold that name. Return None
        if the cleaning is not due, or the record is leased.
        """
