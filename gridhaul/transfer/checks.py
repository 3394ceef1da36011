"""Checks of what is stored: their records, their stages, and how far they are."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gridhaul.transfer.digest import fingerprint
from gridhaul.transfer.findings import Finding
from gridhaul.transfer.model import Failure, Lease, Queue, RecordId
from gridhaul.transfer.states import Move

FINDINGS_KEPT = 1000


class CheckKind(StrEnum):
    FSCK = "fsck"  # everything, or all about one file
    GC = "gc"  # orphans, and what accounts use
    SCRUB = "scrub"  # stored chunks only, at a bounded rate


class Mode(StrEnum):
    REPORT = "report"
    DRY_RUN = "dry_run"  # say what would be repaired
    REPAIR = "repair"


class CheckState(StrEnum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"  # between two slices, too
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


RUNNABLE = frozenset({CheckState.QUEUED, CheckState.RUNNING})
CANCEL_CHECK = Move(from_states=RUNNABLE, to_state=CheckState.CANCELLED, done_in=frozenset({CheckState.CANCELLED}))


class Stage(StrEnum):
    """The parts of a check, one after another."""

    FILES = "files"
    CONTENTS = "contents"
    STALLED = "stalled"
    UNREFERENCED = "unreferenced"
    CHUNKS = "chunks"
    INLINE = "inline"
    MANIFESTS = "manifests"
    BUCKET_FILES = "bucket_files"
    OBJECTS = "objects"
    TEMPORARIES = "temporaries"
    USAGE = "usage"


_ORPHANS = (Stage.UNREFERENCED, Stage.CHUNKS, Stage.INLINE, Stage.MANIFESTS, Stage.BUCKET_FILES)
_OF_ONE_FILE = (Stage.FILES, Stage.CONTENTS, Stage.STALLED, Stage.OBJECTS, Stage.TEMPORARIES)
_OF_ALL = (Stage.FILES, Stage.CONTENTS, Stage.STALLED, *_ORPHANS, Stage.OBJECTS, Stage.TEMPORARIES, Stage.USAGE)
_OF_GC = (*_ORPHANS, Stage.USAGE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """Where a check goes on. `after` is the last key that is done, `at` a content that is half done, `n` its chunk."""

    stage: Stage
    after: str = ""
    at: RecordId | None = None
    n: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class NewCheck:
    kind: CheckKind
    mode: Mode
    file_id: RecordId | None = None
    read_targets: bool = False  # compare delivered objects byte by byte, where the target gives no digest
    bytes_per_second: int | None = None  # None: as fast as it goes

    @property
    def key(self) -> str:
        """The same for checks of which one is enough at a time."""
        return fingerprint(self.kind, self.mode, self.file_id or "", str(self.read_targets))


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    id: RecordId
    kind: CheckKind
    mode: Mode
    state: CheckState
    queue: Queue
    created_at: datetime
    updated_at: datetime
    file_id: RecordId | None = None
    read_targets: bool = False
    bytes_per_second: int | None = None
    cursor: Cursor | None = None  # None: not begun
    checked_bytes: int = 0
    total_bytes: int | None = None  # None: not counted yet
    checked_contents: int = 0
    total_contents: int | None = None
    counts: dict[str, int] | None = None  # of findings, by code
    findings: tuple[Finding, ...] = ()  # the first ones
    found: int = 0
    repaired: int = 0
    source_bytes: int = 0  # read from sources
    sent_bytes: int = 0  # to the chunk service
    rate: float | None = None
    attempts: int = 0
    fruitless_attempts: int = 0
    error: Failure | None = None
    fence: int = 0

    @property
    def lease(self) -> Lease:
        return Lease(record_id=self.id, fence=self.fence)

    @property
    def stages(self) -> tuple[Stage, ...]:
        if self.kind is CheckKind.GC:
            return _OF_GC
        if self.kind is CheckKind.SCRUB:
            return (Stage.CONTENTS,)
        return _OF_ALL if self.file_id is None else _OF_ONE_FILE
