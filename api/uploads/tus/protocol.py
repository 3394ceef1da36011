"""The door for clients of tus 1.0.0 (https://tus.io/protocols/resumable-upload), at `/uploads`."""

from collections.abc import Sequence

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from api.dependencies import Service
from api.named_digest import sha256_in_hex
from api.uploads.appending import append, require_possible
from api.uploads.body import declared_length, fast_enough, whole_number
from api.uploads.checksum import BodyChecksum, checksum_of, without_trailing_checksum
from api.uploads.creating import address, create_upload, upload_at
from api.uploads.ending import discard_if_lost
from api.uploads.ordered import destination_of, end_upload, require_door, require_room, settled
from api.uploads.parts import reserved_length, upload_of
from api.uploads.states import has_all_bytes, refusal
from api.uploads.tus import concatenation
from api.uploads.tus.fields import (
    ALWAYS,
    BYTES,
    VERSION,
    Metadata,
    head_fields,
    read_length,
    require_version,
    upload_fields,
)
from gridhaul.asgi.audit import audit
from gridhaul.asgi.bounded_route import require_type
from gridhaul.asgi.problems import answer
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import (
    GridhaulError,
    Malformed,
    OffsetMismatch,
    RequestTimeout,
    UploadIsJoined,
    UploadTakenOver,
)
from gridhaul.transfer.model import File, Hint, TaskName
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState

UNANSWERED = (ClientDisconnect, RequestTimeout)
DOORS = frozenset(Door) - {Door.CHUNKS, Door.RANGES, Door.RESUMABLE}


def marked(response: Response) -> Response:
    """Return the answer with the field that all answers of tus have."""
    response.headers["Tus-Resumable"] = VERSION
    return response


def refused(request: Request, error: GridhaulError) -> Response:
    return answer(request, error)


async def create(request: Request, caller: Caller, service: Service) -> Response:
    """Begin an upload (tus 1.0.0). The body may already have its first bytes.

    Upload-Metadata may name the file (`filename`), its digest (`sha256`, in hex), and where to deliver it (`target`,
    `object_name`, `if_exists`).
    """
    require_version(request.headers)
    metadata = Metadata.read(request.headers.get("Upload-Metadata", ""))
    concat = request.headers.get(concatenation.FIELD)
    if concat not in (None, concatenation.PARTIAL):
        return await _join(request, caller, service, metadata, concat)
    checksum = checksum_of(request)
    length, has_bytes = read_length(request.headers), _has_bytes(request)
    require_room(request, length, offset=0)
    file = await (_create_part if concat else _create)(service, caller, metadata, length)
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


async def _create(
    service: Service,
    caller: Caller,
    metadata: Metadata,
    length: int | None,
    *,
    concat: str = "",
    parts: Sequence[File] = (),
) -> File:
    """Register an upload that becomes a file of its own; with `parts`, a final one."""
    return await create_upload(
        service,
        caller,
        name=metadata.filename,
        length=length,
        door=Door.TUS,
        metadata=metadata.text,
        sha256=sha256_in_hex(metadata.values.get("sha256")),
        deliver_to=destination_of(
            metadata.values.get("target"),
            metadata.values.get("object_name"),
            if_exists=metadata.values.get("if_exists"),
        ),
        concat=concat,
        parts=parts,
    )


async def _create_part(service: Service, caller: Caller, metadata: Metadata, length: int | None) -> File:
    """Register a part. Its metadata are kept for HEAD, and mean nothing: only those of the final upload count."""
    return await create_upload(
        service,
        caller,
        name=metadata.filename,
        length=length,
        door=Door.TUS_PART,
        metadata=metadata.text,
        concat=concatenation.PARTIAL,
    )


async def _join(request: Request, caller: Caller, service: Service, metadata: Metadata, concat: str) -> Response:
    """Register the final upload and answer at once: a worker joins its parts when all of them have arrived."""
    ids = concatenation.upload_ids(concat)
    named = any(name in request.headers for name in ("Upload-Length", "Upload-Defer-Length", "Transfer-Encoding"))
    if named or declared_length(request):
        raise Malformed("A final upload has no body and no Upload-Length: its bytes are those of its parts.")
    parts = await concatenation.parts_of(service, caller, ids)
    length = concatenation.joined_length(parts)
    file = await _create(service, caller, metadata, length, concat=concat, parts=parts)
    audit("create_upload", file_id=file.id)
    service.hints.offer(Hint(task=TaskName.UPLOAD_FILE, record_id=file.id, queue=file.queue))
    return Response(status_code=201, headers={**ALWAYS, "Location": address(request, service, file)})


async def look(request: Request, upload_id: str, caller: Caller, service: Service) -> Response:
    """Tell the offset, from which the next request has to go on. A request that still sends bytes ends first."""
    require_version(request.headers)
    file = await upload_at(service, caller, upload_id)
    require_door(file, DOORS)
    file = await settled(service, file)
    if file.state is not FileState.RECEIVING and not has_all_bytes(file):
        raise refusal(file)
    length = await concatenation.length_now(service, file)
    return Response(status_code=200, headers={**_progress_fields(file), **head_fields(file, length=length)})


def _progress_fields(file: File) -> dict[str, str]:
    """Return the fields that tell how much is stored. A final upload has no offset before its parts were joined."""
    if upload_of(file).parts:
        return ALWAYS | ({"Upload-Offset": str(file.length)} if file.state is FileState.STORED else {})
    return upload_fields(file, offset=file.length if has_all_bytes(file) else file.stored_bytes)


async def append_body(request: Request, upload_id: str, caller: Caller, service: Service) -> Response:
    """Append the body, from Upload-Offset on. The answer's Upload-Offset counts only bytes that are durable."""
    require_version(request.headers)
    require_type(request, BYTES)
    offset = whole_number("Upload-Offset", request.headers.get("Upload-Offset", ""))
    length = request.headers.get("Upload-Length")
    checksum = checksum_of(request)
    file = await upload_at(service, caller, upload_id)
    if upload_of(file).parts:
        raise UploadIsJoined("The upload is joined from its parts, and takes no bytes; send them to a part.")
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


async def end(request: Request, upload_id: str, caller: Caller, service: Service) -> Response:
    """End the upload. A file that is stored already is deleted, which needs the scope `delete`."""
    require_version(request.headers)
    await end_upload(service, caller, await upload_at(service, caller, upload_id))
    return Response(status_code=204)


async def _append(
    request: Request,
    service: Service,
    file: File,
    *,
    offset: int,
    checksum: BodyChecksum | None,
    length: int | None = None,
) -> int:
    require_door(file, DOORS)
    if length is not None:
        require_possible(file, length)
    require_room(request, reserved_length(file) if length is None else length, offset=offset)
    body = fast_enough(request, service.uploads.stall_seconds)
    if checksum is None:
        body = without_trailing_checksum(request, body)
    return await append(service.uploads, file, body, offset=offset, checksum=checksum, length=length)


def _repeated(request: Request, file: File, offset: int) -> Response:
    """Answer a request for an upload that takes no more bytes: a repeat of its last request is a success."""
    if not has_all_bytes(file):
        raise refusal(file)
    if offset + (declared_length(request) or 0) != file.length:
        raise OffsetMismatch("The upload has all its bytes.", offset=file.length)
    return Response(status_code=204, headers=upload_fields(file, offset=file.length))


def _has_bytes(request: Request) -> bool:
    """Return whether the request has a body. Raises UnsupportedMediaType unless the body is bytes of the upload."""
    has_body = bool(declared_length(request)) or "Transfer-Encoding" in request.headers
    if has_body:
        require_type(request, BYTES)
    return has_body
