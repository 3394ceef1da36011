"""Batches, the lanes through which workers take members, and the members. All methods raise DatabaseUnavailable."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gridhaul.transfer.batches import Batch, BatchState, Counts, Lane, NewBatch, Skipped, StoredMember, Token
from gridhaul.transfer.model import (
    File,
    Hint,
    NewFile,
    Queue,
    RecordId,
)
from gridhaul.transfer.origins import SourceIdentity
from gridhaul.transfer.ports.leasing import LeasedRecords, MovableRecords, ReadableRecords
from gridhaul.transfer.states import Action, DeliveryState


class BatchRegistry(ReadableRecords[Batch], MovableRecords[Batch, BatchState], Protocol):
    """The batches as the api uses them."""

    async def register(self, new: NewBatch) -> tuple[Batch, bool]:
        """Return the batch, and whether this call made it. The same owner and idempotency key give the same batch."""

    async def find_by_key(self, owner: str, idempotency_key: str) -> Batch | None:
        """Return the batch that the owner registered with the key, or None."""

    async def page(
        self, *, owner: str | None, states: Collection[BatchState], limit: int, before: RecordId | None
    ) -> Sequence[Batch]:
        """Return at most `limit` batches in one of the states, newest first, older than `before`."""

    async def count_open(self, owner: str, *, limit: int) -> int:
        """Return how many batches of the owner are open, counted up to `limit`."""

    async def note_counts(self, batch_id: RecordId, counts: Counts) -> None:
        """Write the counts into the record of an open batch, whoever holds it."""


class RunnableBatches(LeasedRecords[Batch, BatchState], MovableRecords[Batch, BatchState], Protocol):
    """The batches as workers use them."""

    async def claim_in_its_state(self, batch_id: RecordId, *, holder: str) -> Batch | None:
        """Take the lease as `claim` does, but leave the state as it is."""

    async def look_soon(self, batch_id: RecordId) -> bool:
        """Make a RUNNING batch due now, if no worker holds it. Return whether it was made due; the caller hints it."""


class Lanes(Protocol):
    async def wake(self, batch_id: RecordId, owner: str, queues: Collection[Queue]) -> Sequence[Hint]:
        """Note that members in these queues have become due. Return the hints that the caller sends."""

    async def take(self, token: Token) -> Lane | None:
        """Answer the message that carries the token, and return the lane with its next token.

        Return None if another message has been answered since: a lane has one message that counts.
        """

    async def rest(self, lane: Lane, until: datetime | None) -> bool:
        """Let the lane owe its next hint at `until`, or none if that is None.

        Return False, and change nothing, if the lane was woken after it was taken.
        """

    async def owe(self, lane: Lane, until: datetime) -> None:
        """Let the lane owe a hint at `until`, unless it is hinted, or owes a hint that is earlier."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DueDelivery:
    """A delivery that is due."""

    id: RecordId
    length: int  # bytes of its file
    state: DeliveryState


@dataclass(frozen=True, kw_only=True, slots=True)
class DueMembers:
    """Members of a batch that are due in one queue, those that have waited longest first."""

    deliveries: Sequence[DueDelivery] = ()
    files: Sequence[File] = ()


class Members(Protocol):
    """The files of a batch and their deliveries, many at a time."""

    async def insert(self, new: Sequence[NewFile]) -> Sequence["NewFile | None"]:
        """Register the files. Return for each file None if it was made, else the file itself.

        A path of a batch is registered only once, and so is a name.
        """

    async def registered_paths(self, batch_id: RecordId, paths: Collection[str]) -> frozenset[str]:
        """Return those of the paths that are registered in the batch."""

    async def due(self, batch_id: RecordId, queue: Queue, *, limit: int) -> DueMembers:
        """Return at most `limit` due members: deliveries if any are due, else files."""

    async def next_due(self, batch_id: RecordId, queue: Queue) -> datetime | None:
        """Return when the next member of the queue may be due, by leases that end too; None if none will be.

        The time is past if a member is due already.
        """

    async def any_open(self, batch_id: RecordId) -> bool:
        """Return whether any member is open: a file that is not stored yet or owes deliveries, or a delivery."""

    async def any_deliverable(self, batch_id: RecordId) -> bool:
        """Return whether any delivery waits for a worker, or is worked on."""

    async def follow(self, batch_id: RecordId, action: Action, *, who: str | None, limit: int) -> int:
        """Do an operator's action on at most `limit` files and as many deliveries; return how many were moved.

        Files that a retry would store again are left out: their sources have to be looked at first.
        """

    async def retry_cancelled(self, batch_id: RecordId, *, limit: int) -> int:
        """Queue at most `limit` CANCELLED deliveries again, and return how many were queued."""

    async def retry_unchanged(self, file_ids: Sequence[RecordId]) -> int:
        """Queue FAILED and CANCELLED files again, and return how many were queued."""

    async def failed_files(self, batch_id: RecordId, *, after: RecordId | None, limit: int) -> Sequence[File]:
        """Return at most `limit` FAILED and CANCELLED files of the batch, newest first, older than `after`."""

    async def counts(self, batch_id: RecordId) -> Counts:
        """Count the members by state."""

    def stored(self, batch_id: RecordId) -> AsyncGenerator[StoredMember]:
        """Yield the stored files of the batch in the byte order of their names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeletableFiles:
    """Files of a batch that are being deleted."""

    files: Sequence[File]  # DELETING, without their history
    busy: int  # files that cannot be deleted yet, because a delivery of them is open


class MemberDeletion(Protocol):
    """Deletes the files of a batch, many at a time. Only the worker that holds the batch does this."""

    async def begin_delete(self, batch_id: RecordId, *, limit: int) -> DeletableFiles:
        """Move at most `limit` files that are over to DELETING. Return these, and those that were DELETING before.

        Nobody hints them. No files and none busy mean that every file is DELETED.
        """

    async def end_delete(self, files: Sequence[File]) -> bool:
        """Move the files from DELETING to DELETED. Return whether each of them was moved by this call."""

    async def deleted(self, batch_id: RecordId, *, after: RecordId | None, limit: int) -> Sequence[File]:
        """Return DELETED files of the batch in the order of their ids, those after `after`."""


class FormerDeliveries(Protocol):
    """Earlier deliveries, for batches that deliver only files that are new or changed."""

    async def sources(self, owner: str, target: str, names: Mapping[str, str]) -> Mapping[str, SourceIdentity]:
        """Return for each path the source from which its newest DELIVERED delivery under the name was made.

        `names` has the name of the object at the target for each path. Paths that were not delivered are left out, and
        so are deliveries whose object was found lost.
        """

    async def paths(self, owner: str, target: str, *, beneath: str, after: str, limit: int) -> Sequence[str]:
        """Return at most `limit` paths of sources that were delivered, in the order of their text, after `after`.

        They begin with the path `beneath` and `/`. A path that was delivered several times may be returned several
        times.
        """


class PlannedNames(Protocol):
    """The names of the files that a batch would register, kept while it is planned."""

    async def add(self, batch_id: RecordId, names: Mapping[str, str]) -> frozenset[str]:
        """Note the name of each path. Return the paths whose name another path has already."""

    async def forget(self, batch_id: RecordId) -> None:
        """Remove the names of the batch."""


class SkippedPaths(Protocol):
    async def add(self, batch_id: RecordId, skipped: Sequence[Skipped]) -> None:
        """Note the paths as skipped. A path that is noted already stays as it is."""

    async def page(self, batch_id: RecordId, *, limit: int, after: RecordId | None) -> Sequence[Skipped]:
        """Return at most `limit` skipped paths in the order of their text, those after the one with the id `after`.

        Raises NotFound if the batch has none with this id.
        """

    async def counts(self, batch_id: RecordId) -> Mapping[str, int]:
        """Return how many paths were skipped, by reason."""

    async def forget(self, batch_id: RecordId) -> None:
        """Remove the paths of the batch."""
