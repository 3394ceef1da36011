"""Batches as the api shows them, and the orders for them that the client sends."""

from dataclasses import dataclass
from typing import TypedDict

from gridhaul.client.records import FailureRecord
from gridhaul.transfer.model import IfExists
from gridhaul.transfer.origins import IfChanged

BATCH_OVER = frozenset({"PLANNED", "DONE", "CANCELLED", "DELETING", "DELETED"})
PATHS_AT_MOST = 1000  # the api takes no more in one order


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchTarget:
    """A target to which every file of a batch goes. `prefix` comes before each name; None: the names alone."""

    target: str
    prefix: str | None
    if_exists: IfExists


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchOrder:
    """Files to send together. `paths` are absolute, on the server: files, directories and patterns.

    Without `paths`, the list `list_id` names the files; `Batches.make_list` makes it.

    `base` is the directory to which names are relative. `hidden` and `links` are None for the api's own choice. With
    `update`, only files are sent that are new or changed since their newest delivery. With `dry_run`, the batch becomes
    PLANNED and changes nothing until it is started.
    """

    paths: tuple[str, ...]
    targets: tuple[BatchTarget, ...]
    if_changed: IfChanged
    base: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool | None = None
    links: str | None = None
    update: bool = False
    dry_run: bool = False
    list_id: str | None = None


class GroupRecord(TypedDict):
    """Members of a batch in one state."""

    count: int
    bytes: int


class CountsRecord(TypedDict):
    files: dict[str, GroupRecord]
    deliveries: dict[str, GroupRecord]
    failures: dict[str, int]
    skipped: dict[str, int]
    counted_at: str


class SummaryRecord(TypedDict):
    files: int
    bytes: int
    sha256sums: str


class ChoiceRecord(TypedDict):
    include: list[str]
    exclude: list[str]
    hidden: bool
    links: str
    empty_folders: bool


class PlannedFileRecord(TypedDict):
    path: str
    length: int


class PlanRecord(TypedDict):
    """The files that a batch would send, and what it would meet at its targets."""

    files: int
    bytes: int
    largest: list[PlannedFileRecord]
    existing: dict[str, int]
    quota_free_bytes: int | None
    target_free_bytes: dict[str, int]
    errors: dict[str, FailureRecord]


class BatchTargetRecord(TypedDict):
    target: str
    prefix: str | None
    if_exists: str


class ListRecord(TypedDict):
    """A list or a manifest that was sent for a batch; see `GET /lists/{list_id}`."""

    list_id: str
    owner: str
    format: str
    length: int
    entries: int
    relative: int
    created_at: str
    expires_at: str | None
    links: dict[str, str]


class BatchRecord(TypedDict):
    """A batch as the api shows it; see `GET /batches/{batch_id}`."""

    batch_id: str
    owner: str
    paths: list[str]
    list_id: str | None
    base: str | None
    choice: ChoiceRecord
    deliver_to: list[BatchTargetRecord]
    if_changed: str
    state: str
    registered: bool
    update: bool
    unchanged: int
    excluded: int
    plan: PlanRecord | None
    counts: CountsRecord | None
    summary: SummaryRecord | None
    error: FailureRecord | None
    waiting: FailureRecord | None
    created_at: str
    updated_at: str
    ended_at: str | None
    links: dict[str, str]


class SkippedRecord(TypedDict):
    """A path that a batch did not register, and why."""

    path: str
    reason: str
    detail: str
