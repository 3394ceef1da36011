"""Batches: files that were asked for together and are answered for together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from gridhaul.transfer.digest import fingerprint
from gridhaul.transfer.model import (
    Event,
    Failure,
    Hint,
    IfExists,
    Lease,
    Queue,
    RecordId,
    TaskName,
    Wait,
)
from gridhaul.transfer.origins import IfChanged
from gridhaul.transfer.states import OPEN, UNFINISHED, Action, Move

Token = NewType("Token", RecordId)


class BatchState(StrEnum):
    PLANNING = "PLANNING"  # a worker looks what the batch would do, and registers nothing
    PLANNED = "PLANNED"
    REGISTERING = "REGISTERING"  # a worker finds and registers the batch's files; those found are worked on already
    RUNNING = "RUNNING"  # no further file is registered, and something is still open
    PAUSED = "PAUSED"  # nothing of the batch begins
    DONE = "DONE"  # nothing of the batch is open; files may have failed or been skipped
    CANCELLED = "CANCELLED"
    DELETING = "DELETING"  # a worker deletes the stored bytes of all files
    DELETED = "DELETED"


ADVANCING = frozenset({BatchState.REGISTERING, BatchState.RUNNING})
UNSTARTED = frozenset({BatchState.PLANNING, BatchState.PLANNED})
OPEN_BATCH = ADVANCING | {BatchState.PLANNING, BatchState.PAUSED}
ENDED = frozenset({BatchState.DONE, BatchState.CANCELLED})
AT_ITS_END = frozenset({BatchState.DELETING, BatchState.DELETED})
# Of a batch in one of these states no member begins; only a delivery that is COMMITTING goes on.
STANDING = UNSTARTED | AT_ITS_END | {BatchState.PAUSED, BatchState.CANCELLED}

BATCH_MOVES: Mapping[Action, Move[BatchState]] = {
    Action.CANCEL: Move(
        from_states=OPEN_BATCH | UNSTARTED, to_state=BatchState.CANCELLED, done_in=frozenset({BatchState.CANCELLED})
    ),
    Action.PAUSE: Move(from_states=ADVANCING, to_state=BatchState.PAUSED, done_in=frozenset({BatchState.PAUSED})),
    # A batch that is resumed or retried registers what it has not registered yet; then it is RUNNING.
    Action.RESUME: Move(from_states=frozenset({BatchState.PAUSED}), to_state=BatchState.REGISTERING, done_in=ADVANCING),
    Action.RETRY: Move(from_states=ENDED, to_state=BatchState.REGISTERING, done_in=ADVANCING),
}
START_BATCH = Move(
    from_states=frozenset({BatchState.PLANNED}),
    to_state=BatchState.REGISTERING,
    done_in=ADVANCING | {BatchState.PAUSED, BatchState.DONE},
)
DELETE_BATCH = Move(from_states=ENDED | {BatchState.PLANNED}, to_state=BatchState.DELETING, done_in=AT_ITS_END)
CANCEL_AND_DELETE_BATCH = Move(
    from_states=OPEN_BATCH | UNSTARTED | ENDED, to_state=BatchState.DELETING, done_in=AT_ITS_END
)
# A member of a batch that is over was resumed or retried by itself: the batch goes on until that member is over too.
# The move is not made while members follow an action.
GO_ON_WITH_MEMBER = Move(from_states=ENDED, to_state=BatchState.RUNNING, done_in=ADVANCING)


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchTarget:
    """A target to which every file of a batch goes."""

    target: str  # the name of a configured target
    prefix: str  # comes before each file's name, with a `/` between; "": the names alone
    if_exists: IfExists

    def object_name(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Which of the files that are found belong to a batch."""

    include: tuple[str, ...] = ()  # patterns as in gitignore; (): every file
    exclude: tuple[str, ...] = ()  # patterns as in gitignore
    hidden: bool = True  # True: also names that begin with a dot
    follow_links: bool = False  # True: links are followed while they stay beneath the root
    empty_folders: bool = False  # True: empty folders are listed among what was skipped


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """How far registering has come."""

    source: int  # the number of the source that is being looked at, from 0
    after: str = ""  # the last path of this source, or of this entry, that was looked at; "": none was
    page: int = 0  # of a list: the number of the page that is being looked at, from 0
    entry: int = 0  # of a list: the number of the page's entry that is being looked at, from 0
    unmatched: bool = False  # True: the source is a pattern, and nothing up to `after` matches it
    vanished: bool = False  # True: all files are registered, and files that were delivered before are looked for


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Counts the records in one state, and sums their lengths."""

    count: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """The members of a batch by state, as they were at one moment."""

    files: dict[str, Group]  # by `FileState`
    deliveries: dict[str, Group]  # by `DeliveryState`
    failures: dict[str, int]  # FAILED files and deliveries by the error's code
    skipped: dict[str, int]  # by reason
    counted_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The stored files of a batch, once nothing of it is open."""

    files: int  # that are stored
    bytes: int  # of these
    sha256sums: str  # SHA-256 of the `sha256sum` text of these, in the byte order of names


LARGEST_KEPT = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedFile:
    """A file that a batch would register."""

    path: str
    length: int  # bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The effect that a batch would have, as far as planning has come."""

    files: int = 0
    bytes: int = 0
    largest: tuple[PlannedFile, ...] = ()  # the LARGEST_KEPT largest files, the largest first
    existing: dict[str, int] | None = None  # by target: names at which something stands; without targets that list none
    quota_free_bytes: int | None = None  # what the quota leaves; None: there is no quota, or planning has not ended
    target_free_bytes: dict[str, int] | None = None  # by target; without targets that do not tell
    errors: dict[str, Failure] | None = None  # by target: why it could not be looked at


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredMember:
    """A file of a batch that is stored."""

    name: str
    length: int  # bytes
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NewBatch:
    """A batch that is asked for. The fields mean what they mean in `Batch`."""

    owner: str
    sources: tuple[str, ...]
    root_of: tuple[str, ...]
    base: str | None
    choice: Choice
    deliver_to: tuple[BatchTarget, ...]
    if_changed: IfChanged
    update: bool = False
    list_id: RecordId | None = None
    dry_run: bool = False  # True: the batch is planned, and starts when somebody asks for that
    idempotency_key: str | None = None  # the request's Idempotency-Key, unique for the owner; None: it had none
    request_fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Files that were asked for together, and what has become of them."""

    id: RecordId
    owner: str  # the username of the account that asked for the batch
    sources: tuple[str, ...]  # absolute paths on the server: files, directories, and patterns; (): a list names them
    root_of: tuple[str, ...]  # for each source the allowed root beneath which it was authorised; for a list all of them
    base: str | None  # folder to which names are relative; None: the names begin with a source's own last part
    choice: Choice
    deliver_to: tuple[BatchTarget, ...]
    if_changed: IfChanged
    state: BatchState
    queue: Queue  # always MAINTENANCE
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None  # when the batch became DONE, CANCELLED or DELETED; None before
    position: Position | None = Position(source=0)  # where registering goes on; None: everything is registered
    following: Action | None = None  # an operator's action that the members still have to follow; None: none
    followed: int = 0  # how often all members were made to follow it
    rival_until: datetime | None = None  # an earlier action may reach members until then; None: none can
    list_id: RecordId | None = None  # the list that names the files; None: `sources` do
    update: bool = False  # True: files whose newest delivery was made from the same bytes are left out
    unchanged: int = 0  # files that `update` left out
    swept: RecordId | None = None  # the last file whose deleted content was swept; None: none was
    excluded: int = 0  # files and folders that the patterns left out
    plan: Plan | None = None  # None: the batch was not planned
    counts: Counts | None = None  # None: not counted yet
    summary: Summary | None = None  # None until DONE
    attempts: int = 0  # always 0: an event for each look would fill the history
    fruitless_attempts: int = 0
    error: Failure | None = None  # why the last attempt failed
    ended_early: Failure | None = None  # why registering ended before everything was registered; None: it did not
    wait: Wait | None = None  # as in `File`
    next_attempt_at: datetime | None = None
    fence: int = 0
    request_fingerprint: str | None = None
    history: tuple[Event, ...] = field(default=(), compare=False)  # as in `File`
    revision: int = 0  # as in `File`
    changed_at: datetime | None = None  # as in `File`

    @property
    def lease(self) -> Lease:
        return Lease(record_id=self.id, fence=self.fence)

    @property
    def registered(self) -> bool:
        """Return whether a worker has gone through all sources, so that every file is registered."""
        return self.state not in UNSTARTED and (self.position is None or self.position.vanished)

    @property
    def rival_seconds(self) -> float:
        """Return how many seconds after the claim another worker may still let members follow an earlier action."""
        if self.rival_until is None:
            return 0.0
        return max(0.0, (self.rival_until - self.updated_at).total_seconds())


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """The members of one batch that are in one queue. A lane owes a hint while any of them is due."""

    batch_id: RecordId
    owner: str  # the batch's
    queue: Queue
    token: Token  # what the next message for the lane must carry; a message with another token is passed over
    revision: int  # grows with each `wake`, so that a worker notices that a member has become due meanwhile

    @property
    def hint(self) -> Hint:
        return Hint(task=TaskName.TAKE_DUE, record_id=self.token, queue=self.queue)


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A path that a batch did not register, and why."""

    path: str  # as text that can be shown
    reason: str
    detail: str

    def id_in(self, batch_id: RecordId) -> RecordId:
        """Return an id that follows from batch and path, so that a path is noted only once."""
        return RecordId(fingerprint(batch_id, self.path)[:24])


OPEN_FILES = sorted(UNFINISHED)
OPEN_DELIVERIES = sorted(OPEN)
