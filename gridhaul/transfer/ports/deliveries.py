"""The registry of deliveries. All methods raise DatabaseUnavailable."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from gridhaul.transfer.findings import SkipReason
from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import Delivery, Lease, NewDelivery, RecordId
from gridhaul.transfer.ports.leasing import LeasedRecords, MovableRecords, ReadableRecords
from gridhaul.transfer.states import DeliveryState


class DeliveryListing(ReadableRecords[Delivery], Protocol):
    async def of_file(self, file_id: RecordId) -> Sequence[Delivery]:
        """Return the file's deliveries, oldest first."""

    async def page(self, selection: Selection, *, limit: int, after: Delivery | None) -> Sequence[Delivery]:
        """Return at most `limit` deliveries of the list, those that follow the delivery `after`, without their history.

        A delivery keeps its place in the list when its state changes.
        """

    async def page_of_lost(self, *, owner: str | None, limit: int, after: Delivery | None) -> Sequence[Delivery]:
        """Return at most `limit` deliveries whose object a check found lost, newest first, that follow `after`."""


class HeldNames(Protocol):
    async def hold_name(self, lease: Lease, final_name: str) -> bool:
        """Claim the name at the delivery's target until the delivery is over.

        Return False if another delivery holds the name. Raises LeaseLost.
        """


class DeliveryRegistry(DeliveryListing, MovableRecords[Delivery, DeliveryState], Protocol):
    """The deliveries as the api uses them."""

    async def open(self, new: NewDelivery, *, who: str | None = None) -> tuple[Delivery, bool]:
        """Return the delivery, and whether this call queued it.

        A delivery is queued again if it is FAILED or CANCELLED. Raises OptionsConflict if the delivery exists with
        another `if_exists` policy. The username `who` of the caller is noted in the history.
        """

    async def why_not_ours(self, delivery: Delivery) -> SkipReason | None:
        """Return why the object under the delivery's name need not be the delivery's own; None if it must be.

        The reason is REPLACED or NAME_HELD. A later delivery of the same bytes is no reason.
        """


class BundledDeliveries(Protocol):
    """Leases of many plain deliveries. A lost lease is no error: the methods pass over its delivery.

    A delivery is plain if it is small, its policy is `fail`, nothing of it can be at its target, and its last attempt
    was not fruitless.
    """

    async def claim_plain(self, delivery_ids: Collection[RecordId], *, holder: str) -> Sequence[Delivery]:
        """Claim those of the deliveries that are plain, due and not leased. Return the claimed ones.

        They become STREAMING. Fence and attempts grow by one.
        """

    async def hold_names(self, leftovers: Mapping[Lease, tuple[str, ...]]) -> frozenset[RecordId]:
        """Claim the name that each delivery asked for, extend its lease, and note its leftovers.

        Return the deliveries that hold their lease and their name now. The others may be held, too, without the name.
        """

    async def renew_all(self, changes: Mapping[Lease, Mapping[str, object]]) -> frozenset[RecordId]:
        """Do what `renew` does for each lease, and return the deliveries that are still held under their leases."""

    async def held(self, leases: Collection[Lease]) -> frozenset[RecordId]:
        """Return the deliveries that are still held under their leases. Change nothing."""

    async def finish_all(self, ended: Mapping[Lease, Mapping[str, object]], to_state: DeliveryState) -> None:
        """Do what `finish` does for each lease, with the changes of each delivery."""

    async def release_all(self, leases: Collection[Lease]) -> None:
        """End the leases, as if the deliveries had not been claimed: they are QUEUED and due. Leftovers stay noted."""


class DeliverableRecords(LeasedRecords[Delivery, DeliveryState], HeldNames, BundledDeliveries, Protocol):
    """The deliveries as workers use them."""

    async def make_all(self, new: Sequence[NewDelivery]) -> frozenset[RecordId]:
        """Queue those deliveries of whose ids there was never one, in whatever state. Return the ids of these."""

    async def note_upload(self, lease: Lease, **changes: object) -> None:
        """Do what `renew` does right before an upload is begun at the target, and note the database server's time.

        `Delivery.uploads_begun` has the times of the last ATTEMPTS_KEPT calls, also when the delivery is queued again.
        """

    async def claim_cleaning(self, delivery_id: RecordId, *, holder: str) -> Delivery | None:
        """Take the lease of a delivery that is over and left something at its target; its final state stays.

        The cleaning is due once no request of an earlier worker can have an effect any more, and as long as the
        delivery has leftovers. While its final name is one of them, no other delivery can hold that name. Return None
        if the cleaning is not due, or the record is leased.
        """
