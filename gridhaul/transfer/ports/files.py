"""The registry of files. All methods raise DatabaseUnavailable."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import File, Lease, NewFile, RecordId
from gridhaul.transfer.ports.leasing import LeasedRecords, MovableRecords, ReadableRecords
from gridhaul.transfer.states import FileState


class FileRegistration(Protocol):
    async def register(self, new: NewFile) -> tuple[File, bool]:
        """Return the file, and whether this call made it. The same owner and idempotency key give the same file.

        Without an idempotency key every call makes a file, so a call whose answer was lost may have made one.
        """

    async def find_by_key(self, owner: str, idempotency_key: str) -> File | None:
        """Return the file that the owner registered with the key, or None."""

    async def count_open(self, owner: str, *, limit: int) -> int:
        """Return how many files of the owner are REGISTERED, STORING or PAUSED, counted up to `limit`.

        Members of batches are left out.
        """


class FileListing(ReadableRecords[File], Protocol):
    async def page(self, selection: Selection, *, limit: int, after: File | None) -> Sequence[File]:
        """Return at most `limit` files of the list, those that follow the file `after`, without their history.

        A file keeps its place in the list when its state changes.
        """


class RetriableFiles(Protocol):
    async def retry(self, file: File, *, who: str | None = None, **changes: object) -> File | None:
        """Retry the file as `move` does, unless it was moved or claimed since `file` was read.

        Return None if nothing was changed, also because the file's state does not allow a retry.
        """


class FileMoves(MovableRecords[File, FileState], RetriableFiles, Protocol):
    """The files as an operator moves them."""


class FileDeletion(Protocol):
    """Keeps a delete and a finalize of one file from both being accepted (docs/adr/0005)."""

    async def request_delete(self, file_id: RecordId, *, deliveries_asked: int, who: str | None = None) -> File | None:
        """Move the file to DELETING if it is at rest. Return it as it is afterwards, None if there is no such file.

        A file is at rest when it may be deleted in its state and no worker has to look at it: a stored file whose
        deliveries are still to be made is not at rest. `deliveries_asked` is the file's count of deliveries, which the
        caller read before it read the deliveries. If the count has changed, the file is not moved, because a delivery
        may exist that the caller has not seen. The operator's username `who` is noted in the history.
        """

    async def count_delivery(self, file_id: RecordId) -> bool:
        """Count a delivery that was just queued, or was found open. Return False if the file is not stored any more.

        The caller then cancels the delivery. Not idempotent: a repeated call counts twice. That does no harm: a delete
        that runs at the same time is refused, and its client has to ask again.
        """


class BundledFiles(Protocol):
    """Leases of many new files. Each method claims, finishes or releases all of them in one write (docs/adr/0009)."""

    async def get_all(self, file_ids: Collection[RecordId]) -> Sequence[File]:
        """Return those of the files that exist, in any order."""

    async def claim_new(self, contents: Mapping[RecordId, RecordId], *, holder: str) -> Sequence[File]:
        """Claim the files that are small, due, and were never claimed; return all the files as they are then.

        `contents` maps each file's id to the id of its new content, under which nothing is stored yet. Each claim moves
        a file from REGISTERED to STORING and notes that content id, by which the caller recognises the files it has
        claimed.
        """

    async def finish_all(self, ended: Mapping[Lease, Mapping[str, object]], to_state: FileState) -> None:
        """Finish each file whose lease still holds, and skip the others. All files change the same fields."""

    async def release_all(self, leases: Sequence[Lease]) -> None:
        """Give files back as if they had never been claimed, due now. Leases that no longer hold are skipped."""


class FileRegistry(FileRegistration, FileListing, FileMoves, FileDeletion, Protocol):
    """The files as the api uses them."""


class StorableFiles(LeasedRecords[File, FileState], BundledFiles, RetriableFiles, Protocol):
    """The files as workers use them."""

    async def deliveries_made(self, counts: Mapping[RecordId, int]) -> None:
        """Count for each file the deliveries that its registration asked for, now that all of them exist.

        Those of the files that are STORED are at rest from now on.
        """
