"""Bodies of `/batches`: what a batch is asked for with, and how it is shown."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, Field, StringConstraints

from api.group_schemas import GroupView, group_views
from api.obstacles import Obstacles
from api.schemas import Body, FailureView, FilePath, ObjectName, TargetName, Waiting, by_kind
from gridhaul.transfer.batches import (
    AT_ITS_END,
    Batch,
    BatchState,
    BatchTarget,
    Choice,
    Plan,
    Skipped,
    Summary,
)
from gridhaul.transfer.model import IfExists
from gridhaul.transfer.origins import IfChanged

MOST_SOURCES = 1000
MOST_PATTERNS = 100
MOST_TARGETS = 16

ListId = Annotated[str, StringConstraints(pattern="^[0-9a-f]{24}$")]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Patterns = Annotated[list[Pattern], Field(max_length=MOST_PATTERNS)]


class Links(StrEnum):
    """The treatment of symbolic links."""

    SKIP = "skip"
    FOLLOW = "follow"


class BatchTargetBody(Body):
    target: TargetName
    prefix: ObjectName | None = Field(default=None, description="Comes before each file's name, with a `/` between")
    if_exists: IfExists = Field(default=IfExists.FAIL, strict=False)


BatchTargets = Annotated[list[BatchTargetBody], Field(min_length=1, max_length=MOST_TARGETS)]
OneOrSeveralTargets = Annotated[BatchTargetBody | BatchTargets, by_kind(BatchTargetBody, BatchTargets)]


class BatchBody(Body):
    paths: Annotated[list[FilePath], Field(min_length=1, max_length=MOST_SOURCES)] | None = Field(
        default=None,
        description="Files, directories and patterns (`**`, `*`, `?`, `[…]`) on the server. A directory keeps its name "
        "in the names of its files, unless its path ends with `/`. Either this or `list_id` is needed",
    )
    list_id: ListId | None = Field(
        default=None,
        description="A list or a manifest that was sent to `/lists`, instead of `paths`. A manifest names every file, "
        "so `include`, `exclude` and `hidden: false` are refused with it",
    )
    base: FilePath | None = Field(
        default=None,
        description="Directory above all paths; the names of the files, and relative paths of a list, are relative to "
        "it",
    )
    include: Patterns = Field(default=[], description="Only files that one of these patterns matches, as in gitignore")
    exclude: Patterns = Field(default=[], description="No files and folders that these patterns match, as in gitignore")
    hidden: bool = Field(default=True, description="Whether names that begin with a dot are taken")
    links: Links = Field(
        default=Links.SKIP, strict=False, description="`follow`: links are followed while they stay beneath the root"
    )
    empty_folders: bool = Field(default=False, description="Whether empty folders are listed as skipped")
    deliver_to: OneOrSeveralTargets | None = Field(
        default=None, description="One target, or a list of targets, to which every file goes once it is stored"
    )
    if_changed: IfChanged = Field(default=IfChanged.FAIL, strict=False)
    update: bool = Field(
        default=False,
        description="Take only files that are new, or whose size, mtime or inode changed since their newest delivery "
        "to the same targets under the same names. Nothing is deleted at a target",
    )

    dry_run: bool = Field(
        default=False,
        description="Only look what the batch would do: it becomes PLANNED, changes nothing, and can be started then",
    )

    def targets(self) -> list[BatchTargetBody]:
        """Return the targets, however the request holds them."""
        if self.deliver_to is None:
            return []
        return self.deliver_to if isinstance(self.deliver_to, list) else [self.deliver_to]

    def choice(self) -> Choice:
        return Choice(
            include=tuple(self.include),
            exclude=tuple(self.exclude),
            hidden=self.hidden,
            follow_links=self.links is Links.FOLLOW,
            empty_folders=self.empty_folders,
        )


class BatchTargetView(BaseModel):
    target: str
    prefix: str | None
    if_exists: IfExists

    @classmethod
    def of(cls, wanted: BatchTarget) -> Self:
        return cls(target=wanted.target, prefix=wanted.prefix or None, if_exists=wanted.if_exists)


class ChoiceView(BaseModel):
    include: list[str]
    exclude: list[str]
    hidden: bool
    links: Links
    empty_folders: bool

    @classmethod
    def of(cls, choice: Choice) -> Self:
        return cls(
            include=list(choice.include),
            exclude=list(choice.exclude),
            hidden=choice.hidden,
            links=Links.FOLLOW if choice.follow_links else Links.SKIP,
            empty_folders=choice.empty_folders,
        )


class BatchCountsView(BaseModel):
    files: dict[str, GroupView] = Field(description="By state")
    deliveries: dict[str, GroupView] = Field(description="By state")
    failures: dict[str, int] = Field(
        description="FAILED files and deliveries, by the code of their error. At most 10,000 of each kind are counted "
        "here; `files` and `deliveries` count all"
    )
    skipped: dict[str, int] = Field(description="Paths that were not registered, by reason")
    counted_at: datetime


class SummaryView(BaseModel):
    files: int
    bytes: int
    sha256sums: str = Field(
        description="SHA-256 of the text that `sha256sum` would print for the stored files, in the byte order of names"
    )

    @classmethod
    def of(cls, summary: Summary | None) -> Self | None:
        if summary is None:
            return None
        return cls(files=summary.files, bytes=summary.bytes, sha256sums=summary.sha256sums)


class PlannedFileView(BaseModel):
    path: str
    length: int


class PlanView(BaseModel):
    files: int
    bytes: int
    largest: list[PlannedFileView] = Field(description="The 10 largest files, the largest first")
    existing: dict[str, int] = Field(
        description="By target: names at which something stands; they are listed as skipped. A target is left out that "
        "cannot list names, or that was never delivered to"
    )
    quota_free_bytes: int | None = Field(description="What the quota leaves; null: there is no quota")
    target_free_bytes: dict[str, int] = Field(description="By target; a target that does not tell is left out")
    errors: dict[str, FailureView] = Field(description="By target: why it could not be looked at")

    @classmethod
    def of(cls, plan: Plan | None) -> Self | None:
        if plan is None:
            return None
        return cls(
            files=plan.files,
            bytes=plan.bytes,
            largest=[PlannedFileView(path=one.path, length=one.length) for one in plan.largest],
            existing=plan.existing or {},
            quota_free_bytes=plan.quota_free_bytes,
            target_free_bytes=plan.target_free_bytes or {},
            errors={
                name: FailureView(code=error.code, detail=error.detail) for name, error in (plan.errors or {}).items()
            },
        )


class BatchView(BaseModel):
    batch_id: str
    owner: str
    paths: list[str] = Field(description="Empty if a list names the files; in a list of batches only the first 10")
    list_id: str | None = Field(description="The list that names the files; null: `paths` do")
    base: str | None
    choice: ChoiceView
    deliver_to: list[BatchTargetView]
    if_changed: IfChanged
    state: BatchState
    registered: bool = Field(description="Whether every file of the batch is registered")
    update: bool
    unchanged: int = Field(description="Files that `update` left out, because they were delivered already")
    excluded: int = Field(description="Files and folders that `include`, `exclude` and `hidden` left out")
    plan: PlanView | None = Field(description="What the batch would do; null unless it was asked for with `dry_run`")
    counts: BatchCountsView | None = Field(description="How many members are in which state; null: not counted yet")
    summary: SummaryView | None = Field(description="null until the batch is DONE")
    error: FailureView | None = Field(
        description="Why the last attempt at the batch failed, or else why registering ended early"
    )
    waiting: Waiting
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    links: dict[str, str]

    @classmethod
    def of(cls, batch: Batch, obstacles: Obstacles) -> Self:
        path = f"/batches/{batch.id}"
        return cls(
            batch_id=batch.id,
            owner=batch.owner,
            paths=list(batch.sources),
            list_id=batch.list_id,
            base=batch.base,
            choice=ChoiceView.of(batch.choice),
            deliver_to=[BatchTargetView.of(wanted) for wanted in batch.deliver_to],
            if_changed=batch.if_changed,
            state=batch.state,
            registered=batch.registered,
            update=batch.update,
            unchanged=batch.unchanged,
            excluded=batch.excluded,
            plan=PlanView.of(batch.plan),
            counts=_counts(batch),
            summary=SummaryView.of(batch.summary) if batch.state in {BatchState.DONE, *AT_ITS_END} else None,
            error=FailureView.of(batch.error or batch.ended_early),
            waiting=FailureView.of(obstacles.of_batch(batch)),
            created_at=batch.created_at,
            updated_at=batch.updated_at,
            ended_at=batch.ended_at,
            links={
                "self": path,
                "files": f"/files?batch={batch.id}",
                "deliveries": f"/deliveries?batch={batch.id}",
                "skipped": f"{path}/skipped",
                "sha256sums": f"{path}/sha256sums",
            },
        )


def _counts(batch: Batch) -> BatchCountsView | None:
    counts = batch.counts
    if counts is None:
        return None
    return BatchCountsView(
        files=group_views(counts.files),
        deliveries=group_views(counts.deliveries),
        failures=counts.failures,
        skipped=counts.skipped,
        counted_at=counts.counted_at,
    )


class BatchesView(BaseModel):
    batches: list[BatchView]
    next_cursor: str | None = Field(description="Pass this as `cursor` to get older batches; null: no more follow")


class SkippedView(BaseModel):
    path: str = Field(description="As text that can be shown; bytes that are no text are escaped")
    reason: str
    detail: str

    @classmethod
    def of(cls, skipped: Skipped) -> Self:
        return cls(path=skipped.path, reason=skipped.reason, detail=skipped.detail)


class SkippedPageView(BaseModel):
    skipped: list[SkippedView]
    next_cursor: str | None = Field(description="Pass this as `cursor` to get more; null: no more follow")
