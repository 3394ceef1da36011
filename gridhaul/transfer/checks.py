"""Checks of what is stored: their records, their stages, and how far they have come."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gridhaul.transfer.digest import fingerprint
from gridhaul.transfer.findings import Finding
from gridhaul.transfer.model import Failure, Lease, Queue, RecordId, Wait
from gridhaul.transfer.states import Move

FINDINGS_KEPT = 1000


class CheckKind(StrEnum):
    FSCK = "fsck"  # looks at everything, or at all that belongs to one file
    GC = "gc"  # looks at orphans, at uploads that were left at targets, and at what accounts use
    SCRUB = "scrub"  # looks at stored chunks only, at a bounded rate


class Mode(StrEnum):
    REPORT = "report"
    DRY_RUN = "dry_run"  # report what a repair would try
    REPAIR = "repair"


class CheckState(StrEnum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"  # also between two slices
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


RUNNABLE = frozenset({CheckState.QUEUED, CheckState.RUNNING})
CANCEL_CHECK = Move(from_states=RUNNABLE, to_state=CheckState.CANCELLED, done_in=frozenset({CheckState.CANCELLED}))


class Stage(StrEnum):
    """A part of a check. The stages of a check run one after another."""

    FILES = "files"
    CONTENTS = "contents"
    STALLED = "stalled"
    UNREFERENCED = "unreferenced"
    CHUNKS = "chunks"
    INLINE = "inline"
    MANIFESTS = "manifests"
    BUCKET_FILES = "bucket_files"
    OBJECTS = "objects"
    LEFTOVERS = "leftovers"
    TEMPORARIES = "temporaries"
    UPLOADS = "uploads"
    USAGE = "usage"


_ORPHANS = (Stage.UNREFERENCED, Stage.CHUNKS, Stage.INLINE, Stage.MANIFESTS, Stage.BUCKET_FILES)
_AT_TARGETS = (Stage.OBJECTS, Stage.LEFTOVERS, Stage.TEMPORARIES)
_OF_ONE_FILE = (Stage.FILES, Stage.CONTENTS, Stage.STALLED, *_AT_TARGETS)
_OF_ALL = (Stage.FILES, Stage.CONTENTS, Stage.STALLED, *_ORPHANS, *_AT_TARGETS, Stage.UPLOADS, Stage.USAGE)
_OF_GC = (*_ORPHANS, Stage.UPLOADS, Stage.USAGE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """The place where a check goes on."""

    stage: Stage
    after: str = ""  # the stage's last key that is done (an id, a folder, a username); "": none is done
    at: RecordId | None = None  # a content that is half done; None: no content is
    n: int = 0  # the next chunk of the content `at`, or the number of pages of a target's listing that are done


@dataclass(frozen=True, kw_only=True, slots=True)
class NewCheck:
    """A check that is asked for."""

    kind: CheckKind
    mode: Mode
    file_id: RecordId | None = None  # the only file to look at; None: everything
    read_targets: bool = False  # True: read delivered objects back, where the target tells no digest
    bytes_per_second: int | None = None  # limit for reading stored chunks; None: no limit

    @property
    def key(self) -> str:
        """A key that is equal for checks of which only one is open at a time."""
        return fingerprint(self.kind, self.mode, self.file_id or "", str(self.read_targets))


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A check of what is stored, done slice after slice. Fields that `NewCheck` has mean the same here."""

    id: RecordId
    kind: CheckKind
    mode: Mode
    state: CheckState
    queue: Queue  # always MAINTENANCE
    created_at: datetime
    updated_at: datetime  # last claim, progress, end of a slice, or cancel
    file_id: RecordId | None = None
    read_targets: bool = False
    bytes_per_second: int | None = None
    cursor: Cursor | None = None  # where the next slice goes on; None: not begun, or DONE
    checked_bytes: int = 0  # bytes of stored chunks that were compared
    total_bytes: int | None = None  # bytes of all contents that were sealed when the check began; None: not counted yet
    checked_contents: int = 0
    total_contents: int | None = None  # contents that were sealed when the check began; None: not counted yet
    checked_objects: int = 0  # deliveries whose object at the target was judged
    unread_objects: int = 0  # of these, the ones whose length alone was compared, because the target tells no digest
    skipped_objects: dict[str, int] | None = None  # number of deliveries not judged, by `SkipReason`; None: not begun
    target_bytes: int = 0  # bytes of objects that were read back from targets, without those of the step that runs
    reading_bytes: int = 0  # bytes that the step that runs has read back; 0 between two steps
    counts: dict[str, int] | None = None  # number of findings by code; None: not begun
    findings: tuple[Finding, ...] = ()  # the first FINDINGS_KEPT; () in lists
    found: int = 0  # number of all findings
    repaired: int = 0  # number of findings that were repaired
    source_bytes: int = 0  # bytes read from sources for repairs
    sent_bytes: int = 0  # bytes sent to the chunk service for repairs
    rate: float | None = None  # bytes a second that the last slice compared; None: it has compared none
    attempts: int = 0  # claims by workers, at least one for each slice
    fruitless_attempts: int = 0  # consecutive attempts without progress
    error: Failure | None = None  # why the last attempt failed; None while an attempt runs, and when none failed
    wait: Wait | None = None  # as in `File`
    fence: int = 0  # grows by one with each claim, and with cancel

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
