"""Requests that send a chunk of a file with Content-Range, or ask how much of the file is stored."""

from collections.abc import AsyncIterator
from urllib.parse import unquote

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from api.dependencies import Service
from api.named_digest import sha256_in_headers
from api.uploads.appending import append
from api.uploads.content_range.fields import ChunkedUploadView, SentRange, stored_range
from api.uploads.content_range.sent_file import SentFile
from api.uploads.creating import address, create_upload
from api.uploads.ending import discarded_if_lost
from api.uploads.ordered import destination_of, destinations_in_query, settled
from api.uploads.parts import require_allowed, reserved_length
from api.uploads.states import has_all_bytes, refusal
from gridhaul.outgoing.headers import read_filename
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import Malformed, OffsetMismatch, UploadTakenOver
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState


async def take_first(
    request: Request, caller: Caller, service: Service, sent: SentFile, data: AsyncIterator[bytes], part: SentRange
) -> Response:
    """Begin an upload with its first chunk."""
    require_allowed(service.max_file_bytes, part.count)
    file = await new_upload(request, caller, service, sent, length=part.length)
    async with discarded_if_lost(service, caller, file, can_continue=False):
        await append(service.uploads, file, _exactly(data, part.count), offset=0)
    return await _answer(request, caller, service, file, status=201)


async def take_chunk(
    request: Request, caller: Caller, service: Service, file: File, data: AsyncIterator[bytes], part: SentRange
) -> Response:
    """Append a chunk to the upload. Raises OffsetMismatch if the chunk does not begin where the stored bytes end."""
    _require_length(file, part)
    if file.state is not FileState.RECEIVING:
        raise _over(file)
    body = _exactly(data, part.count)
    try:
        await append(service.uploads, file, body, offset=part.first or 0, length=part.length)
    except UploadTakenOver:
        file = await service.file(caller, file.id)
        if file.state is FileState.RECEIVING:
            raise
        raise _over(file) from None
    return await _answer(request, caller, service, file, status=200)


async def tell_offset(request: Request, caller: Caller, service: Service, file: File, part: SentRange) -> Response:
    """Tell how much of the upload is stored, once a request that still sends bytes of it has ended."""
    _require_length(file, part)
    file = await settled(service, file)
    if file.state is not FileState.RECEIVING and not has_all_bytes(file):
        raise refusal(file)
    return await _answer(request, caller, service, file, status=200)


async def new_upload(request: Request, caller: Caller, service: Service, sent: SentFile, *, length: int | None) -> File:
    """Register the upload that the request begins, as its fields describe it."""
    return await create_upload(
        service,
        caller,
        name=_name(request, sent),
        length=length,
        door=Door.RANGES,
        sha256=sha256_in_headers(request.headers),
        deliver_to=destinations_in_query(request) or destination_of(sent.fields.get("target") or None, None),
    )


def _name(request: Request, sent: SentFile) -> str:
    """Return the file's name, beneath the folder `parent` if the request has this field."""
    folder = sent.fields.get("parent", "").strip("/")
    name = sent.fields.get("filename") or sent.filename or _name_in_headers(request) or "upload"
    return f"{folder}/{name}" if folder else name


def _name_in_headers(request: Request) -> str | None:
    """Return the name in Content-Disposition, whose `filename` jQuery File Upload writes with percent signs."""
    field = request.headers.get("Content-Disposition", "")
    name = read_filename(field)
    return name if name is None or "filename*" in field.lower() else unquote(name)


def _require_length(file: File, part: SentRange) -> None:
    known = reserved_length(file)
    if part.length is not None and known not in (None, part.length):
        raise OffsetMismatch(f"The upload was begun with a length of {known} bytes.", offset=file.stored_bytes)


def _over(file: File) -> Exception:
    """Return the error for a chunk of an upload that takes no more bytes."""
    if has_all_bytes(file):
        return OffsetMismatch("The upload has all its bytes, and was completed.", offset=file.length)
    return refusal(file)


async def _exactly(data: AsyncIterator[bytes], count: int) -> AsyncIterator[bytes]:
    """Yield the data. Raises Malformed unless they are so many bytes."""
    missing = count
    async for part in data:
        missing -= len(part)
        if missing < 0:
            break
        yield part
    if missing:
        raise Malformed("There are more or fewer bytes than Content-Range says.")


async def _answer(request: Request, caller: Caller, service: Service, file: File, *, status: int) -> Response:
    file, url = await service.file(caller, file.id), address(request, service, file)
    offset = file.length if has_all_bytes(file) else file.stored_bytes
    view = ChunkedUploadView.of(file, url=url, offset=offset)
    headers = {"Location": url, "Cache-Control": "no-store", **stored_range(offset)}
    return JSONResponse(view.model_dump(mode="json"), status_code=status, headers=headers)
