"""What the journeys need of the world. Every implementation of a port passes its suite in tests/contracts.

Ports raise the errors of `transfer.errors`; calls that change something are idempotent unless they say otherwise.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.model import (
    Content,
    Delivery,
    File,
    FreeSpace,
    Hint,
    Lease,
    NewDelivery,
    NewFile,
    Queue,
    RecordId,
    RemoteObject,
    Seal,
)
from gridhaul.transfer.states import DeliveryState, FileState, Move

R_co = TypeVar("R_co", covariant=True)
S_contra = TypeVar("S_contra", contravariant=True)

Leaving = Callable[[int], None]  # told how many bytes are about to leave; raises if they must not


class Blocks(Protocol):
    """Blocks of bytes for the thread that sends them. They may be made in other threads meanwhile."""

    def __iter__(self) -> Iterator[bytes]:
        """The blocks in order, once."""

    def stop(self) -> None:
        """Let a thread that waits for the next block get an error at once. May be called in any thread."""


class Chunks(Blocks, Protocol):
    """The chunks of a content. Nothing is done before the first is wanted; close them in the end, whoever used them."""

    def begin(self) -> None:
        """Wait until the first chunk can be given. Raises what iterating would raise."""

    def close(self) -> None:
        """Stop, and give back what is used to make them. Waits for a second at most."""


class LeasedRecords(Protocol[R_co, S_contra]):
    """Records that one worker at a time works on. Leases run on the server's clock."""

    async def get(self, record_id: RecordId) -> R_co | None:
        """The record, or None."""

    async def claim(
        self, record_id: RecordId, *, holder: str, from_states: frozenset[S_contra], to_state: S_contra
    ) -> R_co | None:
        """Take the lease: fence and attempts grow by one. None if it is not due, leased, or in another state."""

    async def renew(self, lease: Lease, **changes: object) -> None:
        """Extend the lease and change fields of the record. Raises LeaseLost."""

    async def release(self, lease: Lease, to_state: S_contra, *, delay_seconds: float, **changes: object) -> None:
        """Give the record back, due after `delay_seconds`. Raises LeaseLost."""

    async def finish(self, lease: Lease, to_state: S_contra, **changes: object) -> None:
        """Give the record back; no worker has to look at it again. Raises LeaseLost."""

    async def require(self, lease: Lease) -> None:
        """Only look. Raises LeaseLost if the record is no longer held under this fence."""

    async def move(self, record_id: RecordId, move: Move[S_contra], **changes: object) -> R_co | None:
        """Do what an operator wants, whoever works on the record: that one's next write raises LeaseLost.

        Error and fruitless attempts are forgotten. Where workers wait for the new state the record is due now, and
        hinted by the caller; else it is at rest. The record as it is then, or None if it is in none of the states.
        """


class FileRegistry(LeasedRecords[File, FileState], Protocol):
    async def register(self, new: NewFile) -> tuple[File, bool]:
        """The file and whether it was made now. The same owner and idempotency key give the same file."""

    async def page(
        self, *, owner: str | None, state: FileState | None, limit: int, before: RecordId | None
    ) -> Sequence[File]:
        """Files (of the owner), newest first, older than `before`."""

    async def find_by_key(self, owner: str, idempotency_key: str) -> File | None:
        """The file that the owner registered with the key, or None."""

    async def count_open(self, owner: str, *, limit: int) -> int:
        """How many files of the owner are not finished (REGISTERED, STORING or PAUSED), counted up to `limit`."""

    async def retry(self, file: File, **changes: object) -> File | None:
        """The move of that name, of the file as it was read. None also if it was moved or claimed since."""

    async def request_delete(self, file_id: RecordId, *, deliveries_asked: int) -> File | None:
        """Move a file that has come to rest to DELETING. The file as it is then, or None.

        A stored file whose delivery is still to be made has not come to rest. Nor has one with another count of
        deliveries than was read before its deliveries were looked at: there may be one more.
        """

    async def delivery_made(self, file_id: RecordId) -> None:
        """The delivery that prepare asked for exists: it is counted, and the stored file is at rest."""

    async def count_delivery(self, file_id: RecordId) -> bool:
        """Count a delivery that was just queued. False if the file is not stored any more: it must be taken back."""

    async def claim_new(self, contents: Mapping[RecordId, RecordId], *, holder: str) -> Sequence[File]:
        """Take the leases of those among the files that no worker has had yet, that are small and due.

        As `claim` of each, from REGISTERED to STORING; from then on it knows its content, the id beside its own, under
        which nothing is stored yet. Gives all the files as they are then: by that the claimed ones are known.
        """

    async def finish_all(self, ended: Mapping[Lease, Mapping[str, object]], to_state: FileState) -> None:
        """As `finish` for each lease that still holds; the others are passed over. All change the same fields."""

    async def release_all(self, leases: Sequence[Lease]) -> None:
        """Give new files back as if they had not been claimed, due now; leases that do not hold are passed over."""


class AccountUsage(Protocol):
    """How much the files of an owner count against the quota: never less than their `used_bytes` together.

    Whoever makes that more charges before, whoever makes it less announces before and releases after. So what is lost
    in between counts too much. That is put right by a recount, which keeps away from accounts that were charged or
    announced in the last two minutes. Nothing here is idempotent: a call whose answer was lost is not repeated.
    """

    async def charge(self, owner: str, length_bytes: int) -> None:
        """Raises QuotaExceeded, and changes nothing then. Nothing (0) always fits. No account, no limit."""

    async def announce(self, owner: str) -> None:
        """Something will be released."""

    async def release(self, owner: str, length_bytes: int) -> None:
        """Count less, never less than nothing."""


class DeliveryRegistry(LeasedRecords[Delivery, DeliveryState], Protocol):
    async def make(self, new: NewDelivery) -> bool:
        """Queue the delivery if there was never one like it. False if there was, whatever became of it."""

    async def open(self, new: NewDelivery) -> tuple[Delivery, bool]:
        """The delivery and whether it was queued now. A FAILED or CANCELLED one is queued again.

        Raises OptionsConflict if it exists with another policy.
        """

    async def hold_name(self, lease: Lease, final_name: str) -> bool:
        """Claim the name at the delivery's target until the delivery is over. False if another delivery holds it."""

    async def of_file(self, file_id: RecordId) -> Sequence[Delivery]:
        """The file's deliveries, oldest first."""

    async def page(
        self, *, owner: str | None, state: DeliveryState | None, limit: int, before: Delivery | None
    ) -> Sequence[Delivery]:
        """Deliveries (of the owner), newest first, older than `before`."""

    async def claim_cleaning(self, delivery_id: RecordId, *, holder: str) -> Delivery | None:
        """Take the lease of a delivery that is over and left something at its target; its end stays as it is.

        It is due when no request of an earlier worker can last any longer, and as long as it has leftovers.
        While its final name is one of them no other delivery can hold that name. None if it is not due, or leased.
        """


class Agenda(Protocol):
    """What is due, over all registries."""

    async def due(self, limit: int) -> Sequence[Hint]:
        """Hints that are owed: a lease ended, or the time of the next attempt came. Oldest first; each given once."""

    async def unanswered(self, queue: Queue, limit: int) -> int:
        """How many records of the queue were hinted and not claimed since, counted up to `limit`."""

    async def overlooked(self, queue: Queue, limit: int, *, seconds: float) -> Sequence[Hint]:
        """Hints for those of them that were hinted longest ago, at least `seconds`. Each counts as hinted now."""


class Contents(Protocol):
    """Stored byte sequences, as their writers and readers see them."""

    def new_id(self) -> RecordId:
        """An id for a content that does not exist yet."""

    async def open(
        self, content_id: RecordId, *, file_id: RecordId, filename: str, content_type: str, length: int, fence: int
    ) -> Content:
        """Make the content, or take it over with a higher fence. Raises LeaseLost if a higher fence has it."""

    async def get(self, content_id: RecordId) -> Content | None:
        """The content, or None."""

    def read(self, content: Content) -> Chunks:
        """The chunks of a sealed content in order, each checked against the manifest before it is given.

        The last 16 chunks come only once length and SHA-256 of the whole agree.
        Raises StateConflict unless it is sealed. Iterating raises ChunkMissing, ChunkCorrupt or ChunkDoubled, naming
        the chunk, or ContentMismatch.
        """

    async def drop_ref(self, content_id: RecordId, file_id: RecordId) -> None:
        """The file no longer refers to it. Without refs its bytes are deleted, and it waits to be swept."""

    async def abandon(self, content: Content) -> bool:
        """Delete the bytes of a content that no file refers to; it waits to be swept. False if it has changed."""

    async def sweep(self, content_id: RecordId) -> None:
        """Delete what came late for a deleted content, and its record. Nothing, if it is not time."""


class Intake(Protocol):
    """Where the chunk service puts what it accepts."""

    async def digests(self, content_id: RecordId, *, first: int, count: int) -> bytes:
        """33 bytes a chunk: 1 (held) and its digest, or 33 zeros."""

    async def store(
        self, content_id: RecordId, *, fence: int, first: int, chunks: Sequence[bytes], digests: Sequence[bytes]
    ) -> bool:
        """Whether anything was new. Durable when it returns.

        Raises NotFound, StaleFence, ContentSealed, ChunkConflict, ChunkOutOfRange, LengthMismatch.
        What was acknowledged stays; of a segment in conflict the chunks that were not there before may be stored.
        The digests are those of the chunks: the caller has checked.
        """

    async def store_whole(self, contents: Sequence[WholeContent]) -> Mapping[RecordId, str]:
        """Store small contents inline and seal them, each wholly or not at all. Durable when it returns.

        Gives an error's code for each that is refused: it is too large to be inline, or something of it is there
        already, be it only the note that it was deleted. What the same call stored before is not refused.
        Digests and seals are those of the chunks: the caller has checked.
        """

    async def seal(self, content_id: RecordId, *, fence: int, seal: Seal) -> Content:
        """Make it complete and unchangeable. Raises ContentIncomplete, DigestMismatch, LengthMismatch, StaleFence."""

    async def repair(self, content_id: RecordId, *, n: int, chunk: bytes, digest: bytes) -> bool:
        """Put the bytes that the manifest names under the number, in place of whatever else is there.

        Whether anything was wrong. There is no moment without the chunk if there was one. The digest is the chunk's.
        Raises NotFound, StateConflict unless it is sealed, ChunkConflict, ChunkOutOfRange, LengthMismatch.
        """

    async def free_space(self) -> FreeSpace:
        """Where more chunks can go. What a delete frees is seen when the database has written it down, in minutes."""


class Target(Protocol):
    """A remote place. Names are relative, with `/` between parts. Raises TargetUnavailable and TargetRefused."""

    name: str

    def location(self, name: str) -> str:
        """Where the object is, as a URL or path without credentials."""

    async def inspect(self, name: str, *, length: int) -> RemoteObject | None:
        """What is there, or None. The digest comes from the remote or from reading the object back.

        An object of another length than `length` need not be read: its digest may be "".
        Raises OutcomeUnknown if the target cannot tell.
        """

    async def put(self, name: str, blocks: Blocks, *, length: int, leaving: Leaving) -> None:
        """Write the object from blocks of `length` bytes in all. One thread takes each block and sends it.

        That thread calls `leaving` right before something leaves this process: first with 0, before anything is done to
        the object, then with the length of each block, which may have been made long before. What it or `blocks` raises
        passes through unchanged, and nothing more leaves. Cancelled, it stops the blocks.
        """

    async def remove(self, name: str) -> None:
        """Remove the object. Nothing, if it is not there. Raises TargetLocked while a request to it is under way."""

    async def close(self) -> None:
        """Give back connections."""


@runtime_checkable
class AtomicCommit(Protocol):
    """The further ability of targets that can move a whole object to its final name at once."""

    async def commit(self, temporary_name: str, final_name: str) -> None:
        """Rename unless the final name is taken. Raises ObjectExists, NotFound if the temporary object is gone."""

    async def replace(self, temporary_name: str, final_name: str) -> None:
        """Rename over whatever is there. Raises NotFound if the temporary object is gone."""


@runtime_checkable
class Listing(Protocol):
    """The further ability of targets that can say what is in a folder."""

    def names(self, folder: str) -> AsyncGenerator[str]:
        """The names in the folder ("" is the top), without the folder's own; none if there is no such folder."""
