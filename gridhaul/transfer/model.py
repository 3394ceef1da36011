"""The records of Gridhaul. Ids are 24 hex digits, lengths bytes, times aware UTC, digests lower-case hex."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from gridhaul.transfer.chunking import chunk_count
from gridhaul.transfer.digest import fingerprint
from gridhaul.transfer.states import ContentState, DeliveryState, FileState, Layout

RecordId = NewType("RecordId", str)


class IfExists(StrEnum):
    """What to do when other bytes are already under the object's name."""

    FAIL = "fail"
    OVERWRITE = "overwrite"
    RENAME = "rename"


class IfChanged(StrEnum):
    """What to do when a source is no longer what was registered, or changes while it is read."""

    FAIL = "fail"
    RESTART = "restart"


class Queue(StrEnum):
    """Large files have workers of their own, so that small ones never wait behind them."""

    SMALL = "small"
    LARGE = "large"
    MAINTENANCE = "maintenance"


class Evidence(StrEnum):
    """How a delivery's bytes are known to be right, strongest first."""

    READ_BACK = "read-back"
    REMOTE_DIGEST = "remote-digest"
    SIZE = "size"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    code: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The right to work on one record; every write of state names its fence."""

    record_id: RecordId
    fence: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceIdentity:
    """What `fstat` said of the source when it was registered."""

    size: int
    mtime_ns: int
    inode: str  # unsigned 64 bits, more than BSON's integers hold
    device: str
    ctime_ns: int

    def matches(self, other: "SourceIdentity") -> bool:
        """Whether both are of one file, with no write between that shows; links and modes change only the ctime."""
        return (self.size, self.mtime_ns, self.inode) == (other.size, other.mtime_ns, other.inode)


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """Where a file is to go."""

    target: str
    object_name: str
    if_exists: IfExists


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    id: RecordId
    owner: str
    name: str
    content_type: str
    length: int
    path: str
    identity: SourceIdentity
    queue: Queue
    state: FileState
    created_at: datetime
    updated_at: datetime
    root: str | None = None  # beneath which the path was authorised; None: registered before that was noted
    deliver_to: Destination | None = None
    if_changed: IfChanged = IfChanged.FAIL
    content_id: RecordId | None = None
    content_outdated: bool = False  # whoever claims the file next drops that content, then makes a new one
    layout: Layout | None = None
    sha256: str | None = None
    manifest_root: str | None = None
    stored_bytes: int = 0
    checked_bytes: int = 0  # how far the source was read once more, because something touched it meanwhile
    rate: float | None = None  # bytes a second in the running attempt
    attempts: int = 0
    fruitless_attempts: int = 0  # consecutive, with nothing new stored
    error: Failure | None = None
    deliveries_asked: int = 0  # grows with each delivery, so that a delete knows whether it has seen them all
    fence: int = 0
    request_fingerprint: str | None = None  # of the request that carried the Idempotency-Key

    @property
    def chunk_count(self) -> int:
        return chunk_count(self.length)

    @property
    def used_bytes(self) -> int:
        """What it counts against its owner's quota, whatever of it is stored."""
        return 0 if self.state is FileState.DELETED else self.length

    @property
    def lease(self) -> Lease:
        return Lease(record_id=self.id, fence=self.fence)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewFile:
    """What prepare knows."""

    owner: str
    name: str
    content_type: str
    length: int
    path: str
    identity: SourceIdentity
    queue: Queue
    deliver_to: Destination | None
    root: str | None = None
    if_changed: IfChanged = IfChanged.FAIL
    idempotency_key: str | None = None
    request_fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    id: RecordId
    filename: str
    content_type: str
    length: int
    state: ContentState
    fence: int
    refs: tuple[RecordId, ...]  # the files that refer to it
    layout: Layout | None = None
    sha256: str | None = None
    manifest_root: str | None = None

    @property
    def chunk_count(self) -> int:
        return chunk_count(self.length)

    @property
    def seal(self) -> "Seal":
        """What a sealed content was sealed with."""
        return Seal(length=self.length, sha256=self.sha256 or "", manifest_root=self.manifest_root or "")


@dataclass(frozen=True, kw_only=True, slots=True)
class FreeSpace:
    """Where more chunks can go."""

    disk_bytes: int  # unused on the disk
    reusable_bytes: int  # inside the database's files, where something was deleted: they never get smaller


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """What the writer of a content says it is."""

    length: int
    sha256: str
    manifest_root: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A run of 1 to 16 consecutive chunks from number `first` on, each with its BLAKE3-256 digest."""

    first: int
    chunks: tuple[bytes, ...]
    digests: tuple[bytes, ...]

    @property
    def length(self) -> int:
        return sum(len(chunk) for chunk in self.chunks)

    def part(self, start: int, stop: int) -> "Segment":
        """The chunks at positions `start` to `stop` (exclusive) of this segment."""
        return Segment(first=self.first + start, chunks=self.chunks[start:stop], digests=self.digests[start:stop])


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What is known of a finished delivery, and how. Its times are the delivery's own, on the server's clock."""

    length: int
    sha256: str
    manifest_root: str
    target: str
    object_name: str
    location: str  # a URL or path without credentials
    evidence: Evidence
    atomic_commit: bool
    attempts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteObject:
    """What a target holds under a name."""

    length: int
    sha256: str
    evidence: Evidence


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    id: RecordId
    file_id: RecordId
    owner: str
    target: str
    object_name: str
    if_exists: IfExists
    length: int
    sha256: str
    queue: Queue
    state: DeliveryState
    created_at: datetime
    updated_at: datetime
    final_name: str | None = None  # held at the target; differs from object_name after a rename
    leftovers: tuple[str, ...] = ()  # every name that may hold something of it, written before the first byte
    final_touched: bool = False  # bytes may have been sent under the final name
    replaced: RemoteObject | None = None  # what was under the final name before the first byte was sent to it
    sent_bytes: int = 0
    sent_bytes_most: int = 0  # the furthest any attempt came
    rate: float | None = None
    attempts: int = 0
    fruitless_attempts: int = 0
    error: Failure | None = None
    receipt: Receipt | None = None
    ended_at: datetime | None = None  # since when it is over; cleaning up comes later
    fence: int = 0

    @property
    def lease(self) -> Lease:
        return Lease(record_id=self.id, fence=self.fence)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDelivery:
    file_id: RecordId
    owner: str
    destination: Destination
    length: int
    sha256: str
    queue: Queue

    @property
    def id(self) -> RecordId:
        """The same for the same file, target and object name, so that it can only be made once."""
        parts = (self.file_id, self.destination.target, self.destination.object_name)
        return RecordId(fingerprint(*parts)[:24])


class TaskName(StrEnum):
    UPLOAD_FILE = "tasks.upload_file"
    STORE_BUNDLE = "tasks.store_bundle"
    FINALIZE_FILE = "tasks.finalize_file"
    DELETE_FILE = "tasks.delete_file"
    SWEEP_CONTENT = "tasks.sweep_content"
    CLEAN_DELIVERY = "tasks.clean_delivery"
    RUN_CHECK = "tasks.run_check"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hint:
    """A Celery message: look at this id. Losing it loses nothing."""

    task: TaskName
    record_id: RecordId
    queue: Queue
