"""`/batches`: files that are asked for together, from registering to the proof that all of them arrived."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from api.auth import Deleting, Preparing, Reading
from api.batch_schemas import BatchBody, BatchesView, BatchTargetBody, BatchView, SkippedPageView, SkippedView
from api.dependencies import Cursor, Id, Limit, Service, ServiceDep, States
from api.prepare import IdempotencyKey
from api.schemas import LOCATION
from gridhaul.asgi.audit import audit
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.asgi.problems import documented
from gridhaul.source.opened import check_path
from gridhaul.source.roots import Roots
from gridhaul.source.selection import Selection
from gridhaul.source.walk import check_sources, normal
from gridhaul.transfer.access import Caller, Scope
from gridhaul.transfer.batches import (
    BATCH_MOVES,
    CANCEL_AND_DELETE_BATCH,
    DELETE_BATCH,
    START_BATCH,
    UNSTARTED,
    Batch,
    BatchState,
    BatchTarget,
    Choice,
    NewBatch,
    Position,
)
from gridhaul.transfer.digest import fingerprint
from gridhaul.transfer.errors import IdempotencyConflict, InvalidValue, NotFound, StateConflict, TooManyOpenBatches
from gridhaul.transfer.manifests import write_sha256sums
from gridhaul.transfer.model import Hint, RecordId, TaskName
from gridhaul.transfer.naming import check_object_name
from gridhaul.transfer.states import Action

router = APIRouter(prefix="/batches", tags=["batches"], route_class=BoundedRoute)

TRY_AGAIN_SECONDS = 30
Cancel = Annotated[bool, Query(description="First cancel what is open of the batch, then delete")]
MOVED = documented(404, 409)


@router.post(
    "",
    status_code=202,
    summary="Register files of the server that belong together",
    responses={202: LOCATION, **documented(404)},
)
async def start_batch(
    body: BatchBody,
    response: Response,
    caller: Preparing,
    service: ServiceDep,
    idempotency_key: IdempotencyKey = None,
) -> BatchView:
    """Make the batch. Workers then find its files, and register, store and deliver them; nothing is read before."""
    request_fingerprint = fingerprint(body.model_dump_json())
    batch = await service.batches.find_by_key(caller.username, idempotency_key) if idempotency_key else None
    if batch is None:
        new = await _new_batch(
            body, caller, service, idempotency_key=idempotency_key, request_fingerprint=request_fingerprint
        )
        await _require_room(service, caller)
        batch, made = await service.batches.register(new)
        if made and batch.list_id is not None:
            await service.lists.keep(batch.list_id)  # now: it may take more than a day until a worker does it
        if made:
            _hint(service, batch)
    if batch.request_fingerprint != request_fingerprint:
        raise IdempotencyConflict("This Idempotency-Key was used with another request; take a new one.")
    response.headers["Location"] = f"/batches/{batch.id}"
    return BatchView.of(batch, service.obstacles)


@router.get("", summary="List batches, newest first")
async def list_batches(
    caller: Reading,
    service: ServiceDep,
    state: Annotated[tuple[BatchState, ...], States] = (),
    limit: Limit = 100,
    cursor: Cursor = None,
) -> BatchesView:
    before = RecordId(cursor) if cursor else None
    batches = await service.batches.page(owner=caller.sees_only, states=state, limit=limit, before=before)
    next_cursor = batches[-1].id if len(batches) == limit else None
    return BatchesView(batches=[BatchView.of(batch, service.obstacles) for batch in batches], next_cursor=next_cursor)


@router.get("/{batch_id}", summary="Get one batch", responses=documented(404))
async def get_batch(batch_id: Id, caller: Reading, service: ServiceDep) -> BatchView:
    """Get the batch. The counts of an open batch are made afresh when they are too old."""
    batch = await _batch(service, caller, batch_id)
    return BatchView.of(await service.batch_counts.counted(batch), service.obstacles)


@router.get("/{batch_id}/skipped", summary="List the paths that were not registered", responses=documented(404))
async def list_skipped(
    batch_id: Id,
    caller: Reading,
    service: ServiceDep,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> SkippedPageView:
    batch = await _batch(service, caller, batch_id)
    skipped = await service.skipped.page(batch.id, limit=limit, after=RecordId(cursor) if cursor else None)
    next_cursor = skipped[-1].id_in(batch.id) if len(skipped) == limit else None
    return SkippedPageView(skipped=[SkippedView.of(one) for one in skipped], next_cursor=next_cursor)


@router.get(
    "/{batch_id}/sha256sums",
    summary="Get the digests of the stored files",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **documented(404)},
)
async def get_sha256sums(batch_id: Id, caller: Reading, service: ServiceDep) -> StreamingResponse:
    """Get a line for each stored file, in the byte order of names. `sha256sum --check` accepts the text."""
    batch = await _batch(service, caller, batch_id)
    return StreamingResponse(_sha256sums(service, batch), media_type="text/plain; charset=utf-8")


async def _sha256sums(service: Service, batch: Batch) -> AsyncIterator[bytes]:
    async for member in service.members.stored(batch.id):
        yield write_sha256sums(member.name, member.sha256).encode()


@router.post("/{batch_id}/start", summary="Start a batch that was planned", responses=MOVED)
async def start_planned_batch(batch_id: Id, caller: Preparing, service: ServiceDep) -> BatchView:
    """Start the batch. Its sources are gone through again, so it takes the files that are there by then."""
    batch = await _batch(service, caller, batch_id)
    for wanted in batch.deliver_to:
        service.check_target(caller, wanted.target)
    if batch.state is BatchState.PLANNED:
        await _require_room(service, caller)
    moved = await service.batches.move(batch_id, START_BATCH, who=caller.username, **_from_the_beginning())
    if moved is None:
        batch = await _batch(service, caller, batch_id)
        if batch.state not in START_BATCH.done_in:
            raise StateConflict(f"The batch is {batch.state}; only a PLANNED batch can be started.")
        return BatchView.of(batch, service.obstacles)
    _hint(service, moved)
    return BatchView.of(moved, service.obstacles)


@router.post("/{batch_id}/cancel", summary="Stop a batch for good", responses=MOVED)
async def cancel_batch(batch_id: Id, caller: Preparing, service: ServiceDep) -> BatchView:
    """Stop the batch. Nothing of it begins any more; its files and deliveries become CANCELLED a little later."""
    return await _move(batch_id, Action.CANCEL, caller=caller, service=service)


@router.post("/{batch_id}/pause", summary="Stop a batch for now", responses=MOVED)
async def pause_batch(batch_id: Id, caller: Preparing, service: ServiceDep) -> BatchView:
    """Stop the batch. Nothing of it begins any more; its files and deliveries become PAUSED a little later."""
    return await _move(batch_id, Action.PAUSE, caller=caller, service=service)


@router.post("/{batch_id}/resume", summary="Continue a paused batch", responses=MOVED)
async def resume_batch(batch_id: Id, caller: Preparing, service: ServiceDep) -> BatchView:
    return await _move(batch_id, Action.RESUME, caller=caller, service=service)


@router.post("/{batch_id}/retry", summary="Do again what failed or was cancelled", responses=MOVED)
async def retry_batch(batch_id: Id, caller: Preparing, service: ServiceDep) -> BatchView:
    """Store and deliver again what failed or was cancelled, and nothing else. A source that changed is read anew."""
    return await _move(batch_id, Action.RETRY, caller=caller, service=service)


@router.delete(
    "/{batch_id}", status_code=202, summary="Delete the stored bytes of a batch's files", responses=documented(404, 409)
)
async def delete_batch(batch_id: Id, caller: Deleting, service: ServiceDep, cancel: Cancel = False) -> BatchView:
    """Delete the stored bytes of all files of the batch. The records stay, and become DELETED a little later.

    Delivered objects stay at their targets. A file with a delivery that is open waits for its end.
    """
    batch = await _batch(service, caller, batch_id)
    changes: dict[str, Any] = {"following": Action.CANCEL, "followed": 0} if cancel else {}
    if batch.state in UNSTARTED:  # nothing was registered
        changes |= _from_the_beginning()
    move = CANCEL_AND_DELETE_BATCH if cancel else DELETE_BATCH
    moved = await service.batches.move(batch.id, move, who=caller.username, **changes)
    audit("delete_batch", batch_id=batch.id)
    if moved is not None:
        _hint(service, moved)
        return BatchView.of(moved, service.obstacles)
    batch = await _batch(service, caller, batch_id)
    if batch.state not in move.done_in:
        raise StateConflict(f"The batch is {batch.state}; wait for its end, or cancel it first.")
    return BatchView.of(batch, service.obstacles)


async def _move(batch_id: RecordId, action: Action, *, caller: Caller, service: Service) -> BatchView:
    """Do the action. A worker lets the files and deliveries follow. Raises NotFound, StateConflict, TargetUnknown."""
    batch = await _batch(service, caller, batch_id)
    if action in (Action.RESUME, Action.RETRY):
        for wanted in batch.deliver_to:
            service.check_target(caller, wanted.target)
    move = BATCH_MOVES[action]
    # A batch that is cancelled while it is planned has registered nothing, so a retry goes through all its sources.
    changes: dict[str, Any] = {"following": action, "followed": 0, "ended_early": None}
    if action is Action.CANCEL and batch.state in UNSTARTED:
        changes |= _from_the_beginning()
    moved = await service.batches.move(batch_id, move, who=caller.username, **changes)
    if moved is None:
        batch = await _batch(service, caller, batch_id)
        if batch.state not in move.done_in:
            raise StateConflict(f"The batch is {batch.state}, so there is nothing to {action.value}.")
        return BatchView.of(batch, service.obstacles)
    _hint(service, moved)
    return BatchView.of(moved, service.obstacles)


def _from_the_beginning() -> dict[str, Any]:
    """Return the fields of a batch whose sources are gone through from the beginning."""
    return {"position": Position(source=0), "excluded": 0, "unchanged": 0, "ended_early": None}


def _hint(service: Service, batch: Batch) -> None:
    service.hints.offer(Hint(task=TaskName.RUN_BATCH, record_id=batch.id, queue=batch.queue))


async def _batch(service: Service, caller: Caller, batch_id: RecordId) -> Batch:
    batch = await service.batches.get(batch_id)
    if batch is None or not caller.sees(batch.owner):
        raise NotFound("There is no such batch.")
    return batch


async def _require_room(service: Service, caller: Caller) -> None:
    limit = service.max_open_batches
    if await service.batches.count_open(caller.username, limit=limit) >= limit:
        detail = (
            f"The account has {limit} open batches, as many as it may; wait until one is over, or cancel one "
            "(a PAUSED batch counts, too)."
        )
        raise TooManyOpenBatches(detail, retry_after_seconds=TRY_AGAIN_SECONDS)


async def _new_batch(
    body: BatchBody, caller: Caller, service: Service, *, idempotency_key: str | None, request_fingerprint: str
) -> NewBatch:
    if body.update and not body.targets():
        raise InvalidValue("An update compares with earlier deliveries, so a target is needed.")
    if (body.paths is None) == (body.list_id is None):
        raise InvalidValue("Give either `paths` or `list_id`.")
    allowed = caller.roots_among(service.roots)
    sources = tuple(body.paths or ())
    await asyncio.to_thread(_check_patterns, body.choice(), sources)
    if body.list_id is None:
        root_of = tuple(map(Roots(configured=service.roots, allowed=allowed).holding, sources))
    else:
        await _check_list(RecordId(body.list_id), body, caller, service)
        root_of = allowed
    deliver_to = tuple(_target(wanted, caller, service) for wanted in body.targets())
    await service.targets.require_possible(deliver_to)
    return NewBatch(
        owner=caller.username,
        sources=sources,
        list_id=RecordId(body.list_id) if body.list_id else None,
        root_of=tuple(map(str, root_of)),
        base=_base(body.base, sources),
        choice=body.choice(),
        deliver_to=deliver_to,
        if_changed=body.if_changed,
        update=body.update,
        dry_run=body.dry_run,
        idempotency_key=idempotency_key,
        request_fingerprint=request_fingerprint,
    )


def _check_patterns(choice: Choice, sources: tuple[str, ...]) -> None:
    """Raise PathInvalid, PatternInvalid. Patterns can take a second, so this runs in a thread."""
    Selection(choice)
    check_sources(sources)


async def _check_list(list_id: RecordId, body: BatchBody, caller: Caller, service: Service) -> None:
    """Raise NotFound unless the list is the caller's, and InvalidValue if the rest of the request does not suit it."""
    found = await service.lists.get(list_id)
    if found is None or found.owner != caller.username:
        raise NotFound("There is no such list.")
    if found.relative and body.base is None:
        raise InvalidValue("The list has relative paths, so `base` is needed.")
    if found.format.is_manifest and (body.include or body.exclude or not body.hidden):
        raise InvalidValue(
            "A manifest names every file itself, so patterns and `hidden` choose nothing of it; leave them out."
        )


def _base(base: str | None, sources: tuple[str, ...]) -> str | None:
    if base is None:
        return None
    folder = f"{normal(check_path(base)).rstrip('/')}/"
    for source in sources:
        path = f"{normal(source)}/"
        if not path.startswith(folder):
            raise InvalidValue(f"{source} does not lie beneath base {folder}; choose a directory above all paths.")
        if path == folder and not source.endswith("/"):
            raise InvalidValue(f"{source} is `base` itself; end the path with `/` to take what is beneath it.")
    return folder


def _target(wanted: BatchTargetBody, caller: Caller, service: Service) -> BatchTarget:
    caller.require(Scope.FINALIZE)
    service.check_target(caller, wanted.target)
    prefix = check_object_name(wanted.prefix.strip("/")) if wanted.prefix else ""
    return BatchTarget(target=wanted.target, prefix=prefix, if_exists=wanted.if_exists)
