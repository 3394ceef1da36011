"""The door for clients of tus 1.0.0 (https://tus.io/protocols/resumable-upload), at `/uploads`."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from api.auth import Preparing
from api.delete import AT_ITS_END, delete_whole
from api.dependencies import Service, ServiceDep, get_service
from api.named_digest import sha256_in_hex
from api.schemas import DeliverTo
from api.uploads import documentation
from api.uploads.appending import append, finish_received, require_possible
from api.uploads.body import Unanswered, declared_length, fast_enough, whole_number
from api.uploads.checksum import Checksum
from api.uploads.creating import address, create_upload, upload_at
from api.uploads.ending import discard, discard_if_lost
from api.uploads.parts import reserved_length
from api.uploads.route import UploadRoute
from api.uploads.states import has_all_bytes, refusal
from api.uploads.tus_fields import (
    BYTES,
    VERSION,
    Metadata,
    capability_fields,
    head_fields,
    read_length,
    require_version,
    upload_fields,
)
from gridhaul.asgi.audit import audit
from gridhaul.asgi.bounded_route import require_type
from gridhaul.asgi.problems import answer, documented
from gridhaul.transfer.access import Caller, Scope
from gridhaul.transfer.errors import (
    DoorConflict,
    GridhaulError,
    InvalidValue,
    LeaseLost,
    Malformed,
    OffsetMismatch,
    PayloadTooLarge,
    RequestTimeout,
    UploadTakenOver,
)
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState


class TusRoute(UploadRoute):
    """A route whose answers all have the field Tus-Resumable. It closes the connection of a body that stands still."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                response = await handle(request)
            except RequestTimeout:  # tus-js-client gives an upload up after 408, and not after a connection that ended
                return Unanswered()
            except GridhaulError as error:
                response = answer(request, error)
            response.headers["Tus-Resumable"] = VERSION
            return response

        return handled


UNANSWERED = (ClientDisconnect, RequestTimeout)
router = APIRouter(prefix="/uploads", tags=["uploads"], route_class=TusRoute)
UploadId = Annotated[str, Path(pattern="^[0-9a-f]{56}$", description="The last part of the upload's address")]
LOOKED = {**documented(404, 410), 409: documentation.MOVED_ON, 412: documentation.OTHER_VERSION}
TAKEN = {**documented(400, 413, 415, 460, 507), **LOOKED}


@router.options(
    "", status_code=204, summary="Tell what tus clients can do here", responses={204: documentation.OFFERED}
)
@router.options("/{upload_id}", status_code=204, include_in_schema=False)
async def options(request: Request) -> Response:
    """Answer without a token, too. With one, `Tus-Max-Size` says how much the account may still send."""
    service = await get_service(request)
    caller: Caller | None = getattr(request.state, "caller", None)
    free = await service.usage.free_bytes(caller.username) if caller else None
    limits = [most for most in (free, service.max_file_bytes) if most is not None]
    return Response(status_code=204, headers=capability_fields(max_bytes=min(limits, default=None)))


@router.post(
    "",
    status_code=201,
    summary="Begin an upload",
    response_class=Response,
    responses={201: documentation.CREATED, **TAKEN},
    openapi_extra=documentation.CREATE,
)
async def create(request: Request, caller: Preparing, service: ServiceDep) -> Response:
    """Begin an upload (tus 1.0.0). The body may already have its first bytes.

    Upload-Metadata may name the file (`filename`), its digest (`sha256`, in hex), and where to deliver it (`target`,
    `object_name`).
    """
    require_version(request.headers)
    metadata = Metadata.read(request.headers.get("Upload-Metadata", ""))
    checksum = Checksum.read(request.headers.get("Upload-Checksum"))
    length, has_bytes = read_length(request.headers), _has_bytes(request)
    _require_room(request, length, offset=0)
    file = await create_upload(
        service,
        caller,
        name=metadata.values.get("filename") or metadata.values.get("name") or "upload",
        length=length,
        door=Door.TUS,
        metadata=metadata.text,
        sha256=sha256_in_hex(metadata.values.get("sha256")),
        deliver_to=_deliver_to(metadata),
    )
    location = {"Location": address(request, service, file)}
    audit("create_upload", file_id=file.id)
    if not has_bytes and reserved_length(file) != 0:
        return Response(status_code=201, headers={**upload_fields(file), **location})
    try:
        offset = await _append(request, service, file, offset=0, checksum=checksum)
    except UploadTakenOver:  # by somebody who found the address in the list of files, or by a worker
        file = await service.file(caller, file.id)
        if not has_all_bytes(file):
            raise
        offset = file.length
    except UNANSWERED:  # the client is not told the address
        await discard_if_lost(service, caller, file, can_continue=False)
        raise
    except GridhaulError as error:
        if await discard_if_lost(service, caller, file, can_continue=True):
            raise
        response = answer(request, error)
        response.headers.update(location)
        return response
    return Response(status_code=201, headers={**upload_fields(file, offset=offset), **location})


@router.head(
    "/{upload_id}",
    summary="Tell how much of an upload is stored",
    response_class=Response,
    responses={200: documentation.LOOKED_AT, **LOOKED},
    openapi_extra=documentation.LOOK,
)
async def head(request: Request, upload_id: UploadId, caller: Preparing, service: ServiceDep) -> Response:
    """Tell the offset, from which the next request has to go on. A request that still sends bytes ends first."""
    require_version(request.headers)
    file = await upload_at(service, caller, upload_id)
    require_ordered(file)
    if file.state is FileState.RECEIVING:
        file = await _settled(service, file)
    if file.state is not FileState.RECEIVING and not has_all_bytes(file):
        raise refusal(file)
    offset = file.length if has_all_bytes(file) else file.stored_bytes
    return Response(status_code=200, headers={**upload_fields(file, offset=offset), **head_fields(file)})


@router.patch(
    "/{upload_id}",
    status_code=204,
    summary="Send bytes of an upload",
    responses={204: documentation.APPENDED, **TAKEN},
    openapi_extra=documentation.APPEND,
)
async def patch(request: Request, upload_id: UploadId, caller: Preparing, service: ServiceDep) -> Response:
    """Append the body, from Upload-Offset on. The answer's Upload-Offset counts only bytes that are durable."""
    require_version(request.headers)
    require_type(request, BYTES)
    offset = whole_number("Upload-Offset", request.headers.get("Upload-Offset", ""))
    length = request.headers.get("Upload-Length")
    checksum = Checksum.read(request.headers.get("Upload-Checksum"))
    file = await upload_at(service, caller, upload_id)
    if file.state is not FileState.RECEIVING:
        return _repeated(request, file, offset)
    known = None if length is None else whole_number("Upload-Length", length)
    try:
        now_at = await _append(request, service, file, offset=offset, checksum=checksum, length=known)
    except UploadTakenOver:
        file = await service.file(caller, file.id)
        if file.state is FileState.RECEIVING:
            raise
        return _repeated(request, file, offset)
    return Response(status_code=204, headers=upload_fields(file, offset=now_at))


@router.delete(
    "/{upload_id}",
    status_code=204,
    summary="End an upload and delete its bytes",
    responses={204: documentation.DELETED, **LOOKED},
    openapi_extra=documentation.LOOK,
)
async def delete(request: Request, upload_id: UploadId, caller: Preparing, service: ServiceDep) -> Response:
    """End the upload. A file that is stored already is deleted, which needs the scope `delete`."""
    require_version(request.headers)
    file = await upload_at(service, caller, upload_id)
    if file.state in AT_ITS_END:
        raise refusal(file)
    if file.state is not FileState.RECEIVING or not await discard(service, caller, file):
        caller.require(Scope.DELETE)
        await delete_whole(service, caller, file.id, cancel=True)
    return Response(status_code=204)


OVERRIDDEN = {"PATCH": patch, "DELETE": delete, "HEAD": head}


@router.post(
    "/{upload_id}",
    status_code=204,
    summary="Send bytes where only POST is allowed",
    responses={200: documentation.LOOKED_AT, 204: documentation.DONE, **TAKEN},
    openapi_extra=documentation.OVERRIDDEN,
)
async def overridden(request: Request, upload_id: UploadId, caller: Preparing, service: ServiceDep) -> Response:
    """Do what X-HTTP-Method-Override says: PATCH, DELETE or HEAD."""
    method = OVERRIDDEN.get(request.headers.get("X-HTTP-Method-Override", "").upper())
    if method is None:
        raise Malformed("X-HTTP-Method-Override must be PATCH, DELETE or HEAD.")
    return await method(request, upload_id, caller, service)


async def _settled(service: Service, file: File) -> File:
    """Return the file after a request that sends bytes of it has stored them and ended.

    Finish an upload all of whose bytes count already: its client takes the offset for a success, and sends no more.
    """
    try:
        async with service.uploads.holdings.hold(file) as held:
            if held.file.stored_bytes == reserved_length(held.file):
                await finish_received(service.uploads, held)
            return held.file
    except LeaseLost:
        return await service.files.get(file.id) or file


async def _append(
    request: Request,
    service: Service,
    file: File,
    *,
    offset: int,
    checksum: Checksum | None,
    length: int | None = None,
) -> int:
    require_ordered(file)
    if length is not None:
        require_possible(file, length)
    _require_room(request, reserved_length(file) if length is None else length, offset=offset)
    body = fast_enough(request, service.uploads.stall_seconds)
    return await append(service.uploads, file, body, offset=offset, checksum=checksum, length=length)


def _repeated(request: Request, file: File, offset: int) -> Response:
    """Answer a request for an upload that takes no more bytes: a repeat of its last request is a success."""
    if not has_all_bytes(file):
        raise refusal(file)
    if offset + (declared_length(request) or 0) != file.length:
        raise OffsetMismatch("The upload has all its bytes.", offset=file.length)
    return Response(status_code=204, headers=upload_fields(file, offset=file.length))


def require_ordered(file: File) -> None:
    """Raise DoorConflict for an upload whose chunks arrive in any order."""
    if file.upload is None or not file.upload.ordered:
        raise DoorConflict("The upload takes chunks in any order; send them to its path `chunks`.")


def _require_room(request: Request, length: int | None, *, offset: int) -> None:
    """Raise PayloadTooLarge, before the body is read, if it goes beyond the end of an upload of this length."""
    coming = declared_length(request)
    if length is not None and coming is not None and offset + coming > length:
        raise PayloadTooLarge(f"The upload has {length} bytes; the request would go beyond its end.")


def _has_bytes(request: Request) -> bool:
    """Return whether the request has a body. Raises UnsupportedMediaType unless the body is bytes of the upload."""
    has_body = bool(declared_length(request)) or "Transfer-Encoding" in request.headers
    if has_body:
        require_type(request, BYTES)
    return has_body


def _deliver_to(metadata: Metadata) -> list[DeliverTo]:
    target, name = metadata.values.get("target"), metadata.values.get("object_name")
    if target is None:
        return []
    try:
        return [DeliverTo(target=target, object_name=name)]
    except ValidationError:
        raise InvalidValue("The target or name in Upload-Metadata does not have the documented form.") from None
