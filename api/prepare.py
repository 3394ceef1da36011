"""`POST /upload/prepare`: register a local file, and answer before any of its bytes is read."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response

from api.account_limits import register_charged, room_for_one
from api.auth import Preparing
from api.dependencies import Service, ServiceDep
from api.schemas import LOCATION, DeliverTo, FileView, PrepareBody
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.asgi.problems import documented
from gridhaul.source.opened import check_path
from gridhaul.source.roots import Roots
from gridhaul.source.stability import registered_anew
from gridhaul.transfer.access import Caller, Scope
from gridhaul.transfer.bundle import storing_task
from gridhaul.transfer.digest import fingerprint
from gridhaul.transfer.errors import IdempotencyConflict, InvalidValue, SourceChanged
from gridhaul.transfer.media_types import media_type
from gridhaul.transfer.model import (
    Destination,
    File,
    Hint,
    NewFile,
    Queue,
)
from gridhaul.transfer.naming import check_object_name
from gridhaul.transfer.origins import ServerPath, SourceIdentity

router = APIRouter(prefix="/upload", tags=["upload"], route_class=BoundedRoute)

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern="^[\\x21-\\x7e]+$",
        description="A repeated request with the same key gets the same file",
    ),
]


@router.post(
    "/prepare",
    status_code=202,
    summary="Register a local file and start storing it",
    responses={202: LOCATION, **documented(404, 507)},
)
async def prepare(
    body: PrepareBody,
    response: Response,
    caller: Preparing,
    service: ServiceDep,
    idempotency_key: IdempotencyKey = None,
) -> FileView:
    """Register the file. A worker then reads, hashes and stores it, and with `deliver_to` a worker also delivers it."""
    request_fingerprint = fingerprint(body.model_dump_json())
    file = await service.files.find_by_key(caller.username, idempotency_key) if idempotency_key else None
    if file is None:
        new = await _new_file(body, caller=caller, service=service)
        new = replace(new, idempotency_key=idempotency_key, request_fingerprint=request_fingerprint)
        async with room_for_one(service, caller.username, account=caller.account):
            file, made = await register_charged(service, new, service.files.register)
        if made:
            task = storing_task(length=file.length, queue=file.queue)
            service.hints.offer(Hint(task=task, record_id=file.id, queue=file.queue))
    if file.request_fingerprint != request_fingerprint:
        raise IdempotencyConflict("This Idempotency-Key was used with another request; take a new one.")
    response.headers["Location"] = f"/files/{file.id}"
    return FileView.of(file, service.obstacles)


async def _new_file(body: PrepareBody, *, caller: Caller, service: Service) -> NewFile:
    path = check_path(body.file_path)
    name = check_object_name(body.name or PurePosixPath(path).name or "file")
    deliver_to = await destinations(body.destinations, name, caller=caller, service=service)
    roots = Roots(configured=service.roots, allowed=caller.roots_among(service.roots))
    identity = await service.sources.identify(path, roots, username=caller.username)
    return NewFile(
        owner=caller.username,
        name=name,
        content_type=media_type(name),
        length=identity.size,
        origin=ServerPath(path=path, root=str(roots.holding(path)), identity=identity, if_changed=body.if_changed),
        queue=_queue(identity, service),
        deliver_to=deliver_to,
    )


async def destinations(
    wanted: Sequence[DeliverTo], name: str, *, caller: Caller, service: Service
) -> tuple[Destination, ...]:
    """Return where a file with this name is to be delivered.

    Raises Forbidden, TargetUnknown, TargetNotExclusive, InvalidValue.
    """
    if wanted:
        caller.require(Scope.FINALIZE)
    found = tuple(_destination(one, name, caller=caller, service=service) for one in wanted)
    if len({(one.target, one.object_name) for one in found}) < len(found):
        raise InvalidValue(
            "Two destinations have the same target and the same name; leave one out, or give it another name."
        )
    await service.targets.require_possible(found)
    return found


def _destination(wanted: DeliverTo, name: str, *, caller: Caller, service: Service) -> Destination:
    service.check_target(caller, wanted.target)
    object_name = check_object_name(wanted.object_name or name)
    return Destination(target=wanted.target, object_name=object_name, if_exists=wanted.if_exists)


async def renewed_source(file: File, *, caller: Caller, service: Service) -> dict[str, Any]:
    """Return the fields that a retry changes in the record of a FAILED or CANCELLED file; none if it can continue.

    An upload continues with the bytes that are stored. If the file's source is no longer the registered one, or an
    attempt noticed a change, all of the source is registered anew. Raises the source errors.
    """
    if file.upload is not None:
        return {}
    # The caller's roots may have shrunk since the file was registered.
    Roots(configured=service.roots, allowed=caller.roots_among(service.roots)).holding(file.source.path)
    roots = Roots.of_file(file, service.roots)
    identity = await service.sources.identify(file.source.path, roots, username=caller.username)
    seen_to_change = file.error is not None and file.error.code == SourceChanged.code
    if identity.matches(file.source.identity) and not seen_to_change:
        return {}
    return {**registered_anew(identity), "queue": _queue(identity, service)}


def _queue(identity: SourceIdentity, service: Service) -> Queue:
    return Queue.LARGE if identity.size > service.large_file_bytes else Queue.SMALL
