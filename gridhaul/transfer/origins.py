"""Where the bytes of files come from: the server's own disk, or a client's upload."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from gridhaul.transfer.errors import SourceMissing
from gridhaul.transfer.states import FILE_MOVES, UPLOAD_MOVES, Action, FileState, Move

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class IfChanged(StrEnum):
    """The policy of storing if the source differs from what was registered, or changes while it is read."""

    FAIL = "fail"
    RESTART = "restart"


def moment(time_ns: int) -> datetime | None:
    """Return the time in whole microseconds; None: it is before the year 1 or after the year 9999."""
    try:
        return EPOCH + timedelta(microseconds=time_ns // 1000)
    except OverflowError:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attributes:
    """The attributes of a source that a delivered object may have too."""

    mtime_ns: int  # nanoseconds since 1970
    mode: int | None  # permission bits with setuid, setgid and sticky: `st_mode & 0o7777`; None: not known


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceIdentity:
    """The facts that `fstat` gives of a source at one moment."""

    size: int  # bytes
    mtime_ns: int  # nanoseconds since 1970
    inode: str  # decimal, as text: an inode has unsigned 64 bits, and BSON's integers are signed
    device: str  # decimal, as text; `matches` does not compare it
    ctime_ns: int  # nanoseconds since 1970
    mode: int | None = None  # as in `Attributes`; `matches` does not compare it; None: a record older than this field

    @property
    def attributes(self) -> Attributes:
        return Attributes(mtime_ns=self.mtime_ns, mode=self.mode)

    @property
    def modified_at(self) -> datetime | None:
        """The mtime in whole microseconds; None if it is before the year 1 or after the year 9999."""
        return moment(self.mtime_ns)

    def matches(self, other: "SourceIdentity") -> bool:
        """Return whether both are of one file, with no visible write in between. Links and modes change only ctime."""
        return (self.size, self.mtime_ns, self.inode) == (other.size, other.mtime_ns, other.inode)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerPath:
    """The origin of a file that a worker reads from the server's own disk."""

    path: str  # absolute path of the source on the server, as the client gave it
    identity: SourceIdentity  # of the source when the file was registered, or registered anew
    root: str | None = None  # allowed root beneath which the path was authorised; None: a record older than this field
    if_changed: IfChanged = IfChanged.FAIL

    @property
    def attributes(self) -> Attributes | None:
        """The attributes that an object at a target may get."""
        return self.identity.attributes

    @property
    def shown_path(self) -> str | None:
        """The path that people know the bytes by; None: there is none."""
        return self.path

    @property
    def modified_at(self) -> datetime | None:
        """The mtime, as `SourceIdentity.modified_at`."""
        return self.identity.modified_at

    @property
    def moves(self) -> Mapping[Action, Move[FileState]]:
        """The moves that an operator can make with the file."""
        return FILE_MOVES


class Door(StrEnum):
    """The ways by which clients send the bytes of an upload."""

    TUS = "tus"  # tus 1.0.0
    TUS_PART = "tus-part"  # a part (`Upload-Concat: partial`), from which tus clients join another upload
    RESUMABLE = "resumable"  # Resumable Uploads for HTTP, draft 12
    RANGES = "ranges"  # requests with Content-Range
    PUT = "put"  # one request, whose path names the file
    POST = "post"  # one request with the raw bytes
    FORM = "form"  # a part of a form (RFC 7578)
    CHUNKS = "chunks"  # several connections, each chunk with its digest


# An upload through one of these doors is complete when its client says so, and not as soon as all its bytes are there.
COMPLETED_BY_REQUEST = frozenset({Door.TUS_PART, Door.RESUMABLE, Door.RANGES, Door.CHUNKS})
# A worker finishes it all the same if nobody goes on with it. Clients of Resumable Uploads for HTTP that find all bytes
# there take the file for sent, and so do not come back.
FINISHED_BY_WORKERS = frozenset(Door) - COMPLETED_BY_REQUEST | {Door.RESUMABLE}


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """The origin of a file whose bytes a client sends. While the file is RECEIVING, `File.stored_bytes` is its offset.

    An ordered upload has one writer at a time. A parallel one takes its chunks in any order.
    """

    door: Door
    expires_at: datetime = EPOCH  # when the upload is EXPIRED unless a request continues it; the registry sets it
    token: str = ""  # the secret part of the upload's address: 32 hex digits
    metadata: str = ""  # the field Upload-Metadata as the client sent it (tus 1.0.0); "" if it sent none
    length_deferred: bool = False  # True: `File.length` is what is reserved so far, because the length is not known yet
    began_without_length: bool = False  # True: the length was not known at the beginning
    sha256: str | None = None  # of all bytes, as the client named it; None: it named none
    md5: str | None = None  # the same; it is compared with the bytes, and proves nothing to anybody else
    concat: str = ""  # the field Upload-Concat (tus 1.0.0) as the client sent it; "" if it sent none
    parts: tuple[str, ...] = ()  # the ids of the uploads that a worker joins to this one; (): a client sends the bytes
    holder: str | None = None  # the request that appends now; None: no request appends
    asked_to_let_go: bool = False  # True: the holder is to store what it has and to end
    forced_at: datetime | None = None  # when the fence was last taken from a holder that had not let go; None: never

    @property
    def ordered(self) -> bool:
        return self.door is not Door.CHUNKS

    @property
    def completed_by_request(self) -> bool:
        return self.door in COMPLETED_BY_REQUEST

    @property
    def attributes(self) -> Attributes | None:
        """The attributes that an object at a target may get: no client of an upload names any."""
        return None

    @property
    def shown_path(self) -> str | None:
        """The path that people know the bytes by: there is none."""
        return None

    @property
    def modified_at(self) -> datetime | None:
        """The mtime of the bytes: no client of an upload names one."""
        return None

    @property
    def if_changed(self) -> None:
        """The policy for a changed source: an upload has no source that could change."""
        return

    @property
    def moves(self) -> Mapping[Action, Move[FileState]]:
        """The moves that an operator can make with the file."""
        return UPLOAD_MOVES


Origin = ServerPath | Upload


def server_path(origin: Origin) -> ServerPath:
    """Return the origin of a file that is on the server's own disk. Raises SourceMissing for an upload."""
    if isinstance(origin, Upload):
        raise SourceMissing("The file was uploaded: the server has no source to read it from.")
    return origin
