"""The records of Gridhaul. Ids are 24 hex digits, lengths bytes, times aware UTC, digests lower-case hex."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.chunking import chunk_count
from gridhaul.transfer.digest import fingerprint
from gridhaul.transfer.errors import ManifestMismatch, Patience
from gridhaul.transfer.origins import Origin, ServerPath, Upload, moment, server_path
from gridhaul.transfer.states import (
    BYTES_GONE,
    ContentState,
    DeliveryState,
    FileState,
    Layout,
    Move,
)

RecordId = NewType("RecordId", str)


class IfExists(StrEnum):
    """The policy of a delivery if the target has other bytes under the object's name."""

    FAIL = "fail"
    OVERWRITE = "overwrite"
    RENAME = "rename"


class Queue(StrEnum):
    """Celery's queues. Large files have workers of their own, so that small files never wait behind them."""

    SMALL = "small"
    LARGE = "large"
    MAINTENANCE = "maintenance"


class Evidence(StrEnum):
    """Ways to know that a delivery's bytes are right, strongest first."""

    READ_BACK = "read-back"  # the object was read back and hashed
    REMOTE_DIGEST = "remote-digest"  # the target told its digest
    PART_DIGESTS = "part-digests"  # the target compared the digest of each part; it was seen to refuse wrong ones
    SIZE = "size"  # only the length is known
    ACKNOWLEDGED = "acknowledged"  # the target took the bytes, and cannot tell what it holds


class CheckedWhen(StrEnum):
    """When the bytes of a delivered object were checked."""

    BEFORE_COMMIT = "before-commit"  # so no reader has seen a wrong byte under the final name
    AFTER_COMMIT = "after-commit"  # the target shows nothing before its commit, and proves no digests of parts
    NEVER = "never"  # the target does not tell what it holds


ATTEMPTS_KEPT = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """The reason why an attempt failed."""

    code: str  # the code of an error in `transfer.errors`
    detail: str  # what happened and what to do, in words for a client


FIRST_EVENTS_KEPT = 5
EVENTS_KEPT = 50  # the first FIRST_EVENTS_KEPT, and the last of the others


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A moment in the history of a record: its state changed, an attempt began, or an operator hurried it."""

    time: datetime
    state: str  # of the record from then on
    attempt: int  # the record's `attempts`
    revision: int  # the record's; each event has the next one, also if events between are no longer kept
    code: str | None = None  # of the error that ended an attempt; None: there was none
    who: str | None = None  # the username of the account that did this; None: a worker did it


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """The attempts of a record in a row that something outside of it did not allow, such as a target that is away."""

    since: datetime  # when the first of them ended
    attempts: int  # their number; they do not count as fruitless
    patience: Patience  # of the errors that ended them; an error of another patience begins another wait


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The right to work on one record. Every write of state names the lease's fence."""

    record_id: RecordId
    fence: int  # the fence of the record when the lease was taken; a higher fence in the record ends the lease


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """Where a file is to be delivered."""

    target: str  # the name of a configured target
    object_name: str  # relative, with `/` between parts
    if_exists: IfExists


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """The bytes that a file must have, as a manifest says it."""

    length: int | None  # bytes; None: the manifest does not say
    sha256: str | None  # None: the manifest does not say

    def require_length(self, length: int) -> None:
        """Raise ManifestMismatch if the manifest names another length in bytes."""
        if self.length not in (None, length):
            raise ManifestMismatch(f"The file has {length} bytes, and the manifest names {self.length}.")

    def require(self, seal: "Seal") -> None:
        """Raise ManifestMismatch if the manifest names other bytes than those of the seal."""
        self.require_length(seal.length)
        if self.sha256 not in (None, seal.sha256):
            raise ManifestMismatch(
                "The file's bytes are not those that the manifest names: "
                f"their SHA-256 is {seal.sha256}, and the manifest names {self.sha256}."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file: the origin of its bytes, its state, and the content that holds its bytes."""

    id: RecordId
    owner: str  # the username of the account that registered the file
    name: str  # as shown to people; also the object name of deliveries that name no other
    content_type: str  # a media type, guessed from the name
    length: int  # bytes, as the origin had or named them when the file was registered, or registered anew
    origin: Origin
    queue: Queue  # by length; MAINTENANCE once the file is to be deleted
    state: FileState
    created_at: datetime  # when the file was registered
    updated_at: datetime  # last claim, progress, end of an attempt, or operator's action
    batch_id: RecordId | None = None  # the batch whose member the file is; None: the file was registered by itself
    expected: Expected | None = None  # what the stored bytes must be; None: no manifest names the file
    deliver_to: tuple[Destination, ...] = ()  # of the deliveries to make once the file is STORED
    content_id: RecordId | None = None  # set before the content is made; None: no worker has begun; stays when DELETED
    content_outdated: bool = False  # True: the next claim drops the content `content_id`, then makes a new one
    layout: Layout | None = None  # the content's; None until STORED
    sha256: str | None = None  # of all bytes; None until STORED
    manifest_root: str | None = None  # the content's; None until STORED
    stored_bytes: int = 0  # furthest that an attempt came with this content; 0 after starting over, and once DELETED
    checked_bytes: int = 0  # bytes read again of a source that was touched while it was read; 0 once STORED
    rate: float | None = None  # bytes a second that the last attempt stored; None: it has stored none
    attempts: int = 0  # claims by workers, the running one included; 0 again when the file is to be deleted
    fruitless_attempts: int = 0  # consecutive attempts without progress; 0 again after progress or an operator's action
    error: Failure | None = None  # why the last attempt failed; None while an attempt runs, and when none failed
    wait: Wait | None = None  # None: the last attempt made progress, or failed for a reason of its own, or none ran
    next_attempt_at: datetime | None = None  # when a worker may claim the file again; None: no worker has to
    deliveries_asked: int = 0  # grows with each accepted delivery, so that a delete notices deliveries it overlooked
    history: tuple[Event, ...] = field(default=(), compare=False)  # oldest first; () in lists, and from claims
    revision: int = 0  # grows by one with each event of the history; 0: a record older than this field
    changed_at: datetime | None = None  # when the revision grew last; None: not since the field exists
    fence: int = 0  # grows by one with each claim, pause, resume, cancel and retry; never shrinks
    request_fingerprint: str | None = None  # of prepare's body; a repeat with the Idempotency-Key must have the same

    @property
    def chunk_count(self) -> int:
        return chunk_count(self.length)

    @property
    def used_bytes(self) -> int:
        """The bytes that the file counts against its owner's quota, however many of them are stored."""
        return 0 if self.state in BYTES_GONE else self.length

    @property
    def source(self) -> ServerPath:
        """The origin of a file that comes from the server's own disk. Raises SourceMissing for an upload."""
        return server_path(self.origin)

    @property
    def upload(self) -> Upload | None:
        """The origin of a file that a client sends or has sent; None: the file comes from the server's own disk."""
        return self.origin if isinstance(self.origin, Upload) else None

    @property
    def lease(self) -> Lease:
        return Lease(record_id=self.id, fence=self.fence)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewFile:
    """The fields of a file that prepare sets. They mean what they mean in `File`."""

    owner: str
    name: str
    content_type: str
    length: int
    origin: Origin
    queue: Queue
    deliver_to: tuple[Destination, ...] = ()
    batch_id: RecordId | None = None
    expected: Expected | None = None
    idempotency_key: str | None = None  # the request's Idempotency-Key, unique for the owner; None: it had none
    request_fingerprint: str | None = None

    @property
    def source(self) -> ServerPath:
        """The origin, as `File.source`."""
        return server_path(self.origin)


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A stored byte sequence. A content that was deleted before it was made has length 0 and empty names."""

    id: RecordId
    filename: str  # the file's name; GridFS clients see it
    content_type: str  # the file's
    length: int  # bytes, known when the content is made; 0 while `open_ended`
    state: ContentState
    fence: int  # of the file's lease under which a worker opened the content last; writes under another are refused
    refs: tuple[RecordId, ...]  # the files that refer to the content; () once DELETING
    layout: Layout | None = None  # None until the first segment is stored, or until SEALED
    sha256: str | None = None  # of all bytes, as the worker read them; None until SEALED
    manifest_root: str | None = None  # None until SEALED
    sealed_at: datetime | None = None  # when the content became SEALED, by the database server's clock; None before
    open_ended: bool = False  # True: the length is not known yet, so the content takes whole chunks only
    replaceable: bool = False  # True: each chunk has a fence, and a writer with a higher one replaces the chunk

    @property
    def chunk_count(self) -> int:
        return chunk_count(self.length)

    @property
    def seal(self) -> "Seal":
        """The seal of a sealed content."""
        return Seal(length=self.length, sha256=self.sha256 or "", manifest_root=self.manifest_root or "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tail:
    """The last bytes of an upload, which do not fill a chunk yet."""

    n: int  # the number of the chunk that they begin
    data: bytes  # less than a chunk


@dataclass(frozen=True, kw_only=True, slots=True)
class FreeSpace:
    """The space that new chunks can take."""

    disk_bytes: int  # unused bytes of the database's disk
    reusable_bytes: int  # bytes freed by deletes inside the database's files, which never get smaller


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """Length and digests of a whole content, as the worker that read the source states them."""

    length: int  # bytes
    sha256: str
    manifest_root: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A run of 1 to 16 consecutive chunks from number `first` on, each with its BLAKE3-256 digest."""

    first: int
    chunks: tuple[bytes, ...]
    digests: tuple[bytes, ...]  # 32 bytes each, in the order of the chunks

    @property
    def length(self) -> int:
        return sum(len(chunk) for chunk in self.chunks)

    def part(self, start: int, stop: int) -> "Segment":
        """Return the chunks at positions `start` to `stop` (exclusive) of this segment, as a segment."""
        return Segment(first=self.first + start, chunks=self.chunks[start:stop], digests=self.digests[start:stop])


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """The proof of a finished delivery: what is known of it, and how. The delivery's record has its times."""

    length: int
    sha256: str
    manifest_root: str
    target: str  # the target's name
    object_name: str  # the final name, which differs from the delivery's `object_name` after a rename
    location: str  # the object's URL or path, without credentials
    evidence: Evidence
    atomic_commit: bool  # True: the target renames checked objects; False: it writes straight to the final name
    attempts: int  # of the delivery, the successful one included
    mtime_ns: int | None = None  # the source's; None: a record older than this field
    mode: int | None = None  # the source's when it was registered; None: a record older than this field
    mtime_kept: bool = False  # True: the object at the target has this mtime
    mode_kept: bool = False  # True: the object at the target has this mode
    abilities: Abilities | None = None  # what the target was seen to do; None: a record older than this field
    checked: CheckedWhen | None = None  # None: a record older than this field
    sent_in_attempts: tuple[int, ...] = ()  # the delivery's; more than the length if bytes were sent again

    @property
    def modified_at(self) -> datetime | None:
        """The source's mtime as `SourceIdentity.modified_at`; None also if it is not known."""
        return None if self.mtime_ns is None else moment(self.mtime_ns)


FORMER_RECEIPTS_KEPT = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class FormerReceipt:
    """A receipt that no longer holds: its object was found lost, and the delivery was queued again."""

    receipt: Receipt
    ended_at: datetime  # when the delivery became DELIVERED with this receipt
    object_error: Failure  # `object_missing` or `object_differs`, as a check found the object


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteObject:
    """An object that a target holds under a name."""

    length: int | None  # bytes; None: the target does not tell
    sha256: str  # "" if the digest is not known
    evidence: Evidence  # how length and digest are known


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderEntry:
    """An entry that a target's folder holds, as a listing of the folder tells."""

    is_object: bool  # False: a folder, or something else under which no object can be
    length: int | None = None  # of an object, in bytes; None: the target does not tell


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedObject:
    """An object that was found right under its temporary name, right before it was to be renamed."""

    temporary_name: str
    tag: str  # `transfer.ports.targets.Tagging.tag`
    evidence: Evidence  # how it was known to be right


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """The bytes that a delivery has written at its target, or is about to write there, before its commit."""

    name: str  # the temporary object's, which has the delivery's id and the generation; unique among all stages
    final_name: str
    generation: int  # the fence of the attempt that began the stage
    length: int  # of the whole object, in bytes
    offset: int = 0  # bytes from the beginning on that the target has confirmed
    committing: bool = False  # True: a commit was begun, so nothing is written to the stage any more
    upload_id: str | None = None  # of a multipart upload; None: the stage is an object under `name`
    part_bytes: int | None = None  # of each part but the last; None: not in parts
    parts: tuple[str, ...] = ()  # the entity tags of the confirmed parts, in their order

    @property
    def is_whole(self) -> bool:
        return self.offset == self.length


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenTarget:
    """The facts that a probe saw of a target, and their age."""

    facts: Mapping[str, Any]  # `transfer.ports.targets.Facts`
    age_seconds: float  # since the probe, as the database server's clock tells


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One file that goes to one target under one object name."""

    id: RecordId  # follows from file, target and object name, as in `NewDelivery`
    file_id: RecordId
    owner: str  # the file's owner
    target: str  # the name of a configured target
    object_name: str  # the name that was asked for
    if_exists: IfExists
    length: int  # the file's
    sha256: str  # of the bytes that were asked for; the content must have the same
    queue: Queue  # the file's; MAINTENANCE after an end with leftovers, until the delivery is queued again
    state: DeliveryState
    created_at: datetime  # when the delivery was queued for the first time
    updated_at: datetime  # last claim, progress, end of an attempt, cleaning, or operator's action
    source_path: str | None = None  # the file's path when the delivery was queued; None: a record older than this field
    batch_id: RecordId | None = None  # the file's batch; None: the file was registered by itself
    final_name: str | None = None  # name held at the target; differs from object_name after a rename; None: none yet
    leftovers: tuple[
        str, ...
    ] = ()  # names that may hold sent bytes, and beginnings of a probe's names; () once cleaned
    final_touched: bool = False  # True: bytes may have been sent straight to the final name, and were not removed since
    replaced: RemoteObject | None = None  # object at the final name before bytes were sent there; None: there was none
    checked: CheckedObject | None = (
        None  # the object whose renaming was begun last; None: none, or it has no tag or was not renamed
    )
    stage: Stage | None = None  # what the next attempt may go on with; its name is among the leftovers
    uploads_begun: tuple[datetime, ...] = ()  # when an upload was about to be begun; the last ATTEMPTS_KEPT of them
    sent_bytes: int = 0  # how far the last attempt came; it began where its stage ended; the length once DELIVERED
    sent_in_attempts: tuple[int, ...] = ()  # bytes that left in each of the last ATTEMPTS_KEPT attempts that sent any
    checked_bytes: int = 0  # bytes of the object that the last attempt has read back so far; 0 while it reads none
    sent_bytes_most: int = 0  # the furthest that any attempt came; an attempt that comes further made progress
    rate: float | None = None  # bytes a second that left in the last attempt; None: none has left
    attempts: int = 0  # claims by workers, without those for cleaning; 0 again when finalize queues it again
    fruitless_attempts: int = 0  # consecutive attempts without progress; 0 again after progress or an operator's action
    error: Failure | None = None  # why the last attempt failed; None while an attempt runs, and once DELIVERED
    wait: Wait | None = None  # None: the last attempt made progress, or failed for a reason of its own, or none ran
    next_attempt_at: datetime | None = None  # when a worker may claim the delivery again; None: no worker has to
    cleaning_error: Failure | None = (
        None  # why the last cleaning left something; None: it left nothing, or none has run
    )
    receipt: Receipt | None = None  # None until DELIVERED
    object_error: Failure | None = None  # how the last check found the delivered object lost; None: it found no such
    former_receipts: tuple[FormerReceipt, ...] = ()  # the last FORMER_RECEIPTS_KEPT of them, oldest first
    ended_at: datetime | None = None  # when the delivery became DELIVERED, FAILED or CANCELLED; None before
    history: tuple[Event, ...] = field(default=(), compare=False)  # as in `File`
    revision: int = 0  # as in `File`
    changed_at: datetime | None = None  # as in `File`
    fence: int = 0  # grows by one with each claim, operator's action, and repeated queueing; never shrinks

    @property
    def lease(self) -> Lease:
        return Lease(record_id=self.id, fence=self.fence)

    def may(self, move: Move[DeliveryState]) -> bool:
        """Return whether the move may be made from the delivery's state."""
        return self.state in move.from_states or (self.object_error is not None and self.state in move.from_lost)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDelivery:
    """A delivery that is asked for. The fields mean what they mean in `Delivery`."""

    file_id: RecordId
    owner: str
    destination: Destination
    length: int
    sha256: str
    queue: Queue
    source_path: str | None = None
    batch_id: RecordId | None = None

    @property
    def id(self) -> RecordId:
        """An id that follows from file, target and object name, so that the same delivery is made only once."""
        parts = (self.file_id, self.destination.target, self.destination.object_name)
        return RecordId(fingerprint(*parts)[:24])


class TaskName(StrEnum):
    UPLOAD_FILE = "tasks.upload_file"
    EXPIRE_UPLOAD = "tasks.expire_upload"
    STORE_BUNDLE = "tasks.store_bundle"
    FINALIZE_FILE = "tasks.finalize_file"
    DELETE_FILE = "tasks.delete_file"
    SWEEP_CONTENT = "tasks.sweep_content"
    CLEAN_DELIVERY = "tasks.clean_delivery"
    RUN_CHECK = "tasks.run_check"
    RUN_BATCH = "tasks.run_batch"
    TAKE_DUE = "tasks.take_due"
    PROBE_TARGET = "tasks.probe_target"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hint:
    """A Celery message that says "look at this id". A lost hint loses nothing: the dispatcher repeats it."""

    task: TaskName
    record_id: RecordId
    queue: Queue
