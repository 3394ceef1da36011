"""`/checks`: start, show and cancel checks, which find and repair errors in stored data, records and deliveries."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field, StringConstraints

from api.auth import Administering
from api.dependencies import Cursor, Id, Limit, Service, ServiceDep
from api.obstacles import Obstacles
from api.schemas import LOCATION, Body, FailureView, Waiting, Whole
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.asgi.problems import documented
from gridhaul.transfer.checks import CANCEL_CHECK, Check, CheckKind, CheckState, Mode, NewCheck
from gridhaul.transfer.errors import InvalidValue, NotFound, StateConflict
from gridhaul.transfer.findings import Finding, FindingCode, Outcome, SkipReason
from gridhaul.transfer.model import Hint, RecordId, TaskName

router = APIRouter(prefix="/checks", tags=["checks"], route_class=BoundedRoute)

BytesPerSecond = Annotated[int, Field(ge=1, lt=2**40), Whole]
Kind = Annotated[CheckKind | None, Query(description="Only checks of this kind")]
OfFile = Annotated[
    str | None, Query(pattern="^[0-9a-f]{24}$", description="Only checks that look at the file with this id alone")
]
RecordName = Annotated[str, StringConstraints(pattern="^[0-9a-f]{24}$")]


class CheckBody(Body):
    kind: CheckKind = Field(default=CheckKind.FSCK, strict=False)
    mode: Mode = Field(default=Mode.REPORT, strict=False)
    id: RecordName | None = Field(
        default=None, description="Check only this file, or the file of this delivery; `fsck` only"
    )
    read_targets: bool = Field(
        default=False, description="Read delivered objects back from targets that report no digest"
    )
    bytes_per_second: BytesPerSecond | None = None


class FindingView(BaseModel):
    code: FindingCode
    detail: str
    content_id: str | None
    file_id: str | None
    delivery_id: str | None
    n: int | None = Field(description="The chunk's number")
    target: str | None
    name: str | None
    upload_id: str | None = Field(description="Of a multipart upload at the target")
    outcome: Outcome
    why_not: str | None

    @classmethod
    def of(cls, finding: Finding) -> Self:
        return cls(**{name: getattr(finding, name) for name in cls.model_fields})


class CheckView(BaseModel):
    check_id: str
    kind: CheckKind
    mode: Mode
    file_id: str | None
    state: CheckState
    stage: str | None
    checked_bytes: int
    total_bytes: int | None
    checked_contents: int
    total_contents: int | None
    checked_objects: int = Field(description="Deliveries whose object at the target was compared with them")
    unread_objects: int = Field(
        description="Of these, the ones whose length alone was compared, because the target tells no digest and "
        "`read_targets` was not set"
    )
    skipped_objects: dict[str, int] = Field(
        description="Number of deliveries whose object was not compared, by reason. "
        + " ".join(f"`{reason.value}`: {reason.meaning}" for reason in SkipReason)
    )
    target_bytes: int = Field(description="Bytes of objects that were read back from targets")
    rate: float | None
    found: int
    repaired: int
    counts: dict[str, int]
    findings: list[FindingView] = Field(description="The first 1,000 findings; empty in a list of checks")
    source_bytes: int = Field(description="Bytes that were read from sources for repairs")
    sent_bytes: int = Field(description="Bytes that were sent to the chunk service for repairs")
    error: FailureView | None
    waiting: Waiting
    created_at: datetime
    updated_at: datetime
    links: dict[str, str]

    @classmethod
    def of(cls, check: Check, obstacles: Obstacles) -> Self:
        same = ("kind", "mode", "file_id", "state", "checked_bytes", "total_bytes", "checked_contents")
        objects = ("checked_objects", "unread_objects")
        names = (*same, *objects, "total_contents", "rate", "found", "repaired", "source_bytes", "sent_bytes")
        path = f"/checks/{check.id}"
        return cls(
            check_id=check.id,
            stage=check.cursor.stage.value if check.cursor else None,
            skipped_objects=check.skipped_objects or {},
            target_bytes=check.target_bytes + (check.reading_bytes if check.state is CheckState.RUNNING else 0),
            counts=check.counts or {},
            findings=[FindingView.of(finding) for finding in check.findings],
            error=FailureView.of(check.error),
            waiting=FailureView.of(obstacles.of_check(check)),
            created_at=check.created_at,
            updated_at=check.updated_at,
            links={"self": path, "cancel": f"{path}/cancel"},
            **{name: getattr(check, name) for name in names},
        )


class ChecksView(BaseModel):
    checks: list[CheckView]
    next_cursor: str | None = Field(description="Pass this as `cursor` to get older checks; null: no more follow")


@router.post(
    "",
    status_code=202,
    summary="Start a check of what is stored",
    responses={
        200: {"model": CheckView, "description": "The same check is open already", **LOCATION},
        202: LOCATION,
        **documented(404),
    },
)
async def start_check(body: CheckBody, response: Response, _: Administering, service: ServiceDep) -> CheckView:
    """Start a check of one kind.

    `fsck` checks everything, or all of one file. `gc` looks for stored bytes and unfinished uploads at targets that
    belong to nothing, and recounts the bytes that accounts use. `scrub` checks all stored chunks.
    """
    if body.id is not None and body.kind is not CheckKind.FSCK:
        raise InvalidValue("Only a check of the kind fsck can have an id.")
    file_id = await _file_id(service, RecordId(body.id)) if body.id else None
    new = NewCheck(
        kind=body.kind,
        mode=body.mode,
        file_id=file_id,
        read_targets=body.read_targets,
        bytes_per_second=body.bytes_per_second,
    )
    check, queued = await service.checks.open(new)
    if queued:
        service.hints.offer(Hint(task=TaskName.RUN_CHECK, record_id=check.id, queue=check.queue))
    else:
        response.status_code = 200
    response.headers["Location"] = f"/checks/{check.id}"
    return CheckView.of(check, service.obstacles)


@router.get("", summary="List checks, newest first")
async def list_checks(
    _: Administering,
    service: ServiceDep,
    kind: Kind = None,
    file: OfFile = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> ChecksView:
    checks = await service.checks.page(
        limit=limit,
        before=RecordId(cursor) if cursor else None,
        kind=kind,
        file_id=RecordId(file) if file else None,
    )
    next_cursor = checks[-1].id if len(checks) == limit else None
    return ChecksView(checks=[CheckView.of(check, service.obstacles) for check in checks], next_cursor=next_cursor)


@router.get("/{check_id}", summary="Get one check", responses=documented(404))
async def get_check(check_id: Id, _: Administering, service: ServiceDep) -> CheckView:
    return CheckView.of(await _check(service, check_id), service.obstacles)


@router.post("/{check_id}/cancel", summary="Stop a check for good", responses=documented(404, 409))
async def cancel_check(check_id: Id, _: Administering, service: ServiceDep) -> CheckView:
    """Stop the check. Its record keeps what the check found and repaired. A repeated request gets the same answer."""
    moved = await service.checks.move(check_id, CANCEL_CHECK)
    check = moved or await _check(service, check_id)
    if check.state is not CheckState.CANCELLED:
        raise StateConflict(f"The check is {check.state}, so there is nothing left to cancel.")
    return CheckView.of(check, service.obstacles)


async def _file_id(service: Service, record_id: RecordId) -> RecordId:
    """Return the id if it is a file's; if it is a delivery's, return the id of the delivery's file. Raises NotFound."""
    if await service.files.get(record_id) is not None:
        return record_id
    delivery = await service.deliveries.get(record_id)
    if delivery is None:
        raise NotFound("There is no such file or delivery.")
    return delivery.file_id


async def _check(service: Service, check_id: RecordId) -> Check:
    check = await service.checks.get(check_id)
    if check is None:
        raise NotFound("There is no such check.")
    return check
