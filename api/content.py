"""`/files/{id}/content`: download the bytes of a stored file, or a range of them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.responses import StreamingResponse

from api.auth import Reading
from api.dependencies import Id, Service, ServiceDep
from api.download import CHUNKS_A_CALL, CHUNKS_OF_RANGE_A_CALL, Download, read_in_thread
from api.download_limit import range_mib, whole_mib
from api.page.download_link import security as download_link
from gridhaul.asgi.byte_ranges import ByteRange
from gridhaul.asgi.disconnection import while_connected
from gridhaul.asgi.preconditions import Complete, Representation, answer_to_get, answer_to_head
from gridhaul.asgi.problems import documented
from gridhaul.outgoing.headers import (
    wants_sha256,
    write_attachment,
    write_digest,
    write_http_date,
    write_repr_digest,
)
from gridhaul.transfer.access import Caller
from gridhaul.transfer.chunking import chunks_of_range
from gridhaul.transfer.errors import IntegrityError, NotFound
from gridhaul.transfer.media_types import media_type_or_unknown
from gridhaul.transfer.model import Content, File

router = APIRouter(prefix="/files", tags=["files"])

HEADERS_OF_304 = ("ETag", "Last-Modified", "Cache-Control")  # headers that an answer 304 has, too (RFC 9110, 15.4.5)
HEADERS_OF_EVERY_DOWNLOAD = ("Repr-Digest", "ETag", "Cache-Control", "Accept-Ranges", "Content-Disposition")
CONDITIONS = ("If-Match", "If-Unmodified-Since", "If-None-Match", "If-Modified-Since")
RANGE_HEADERS = ("Range", "If-Range")
WANT_DIGEST = "Want-Digest"


def _bytes(description: str, *headers: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            name: {"required": True, "schema": {"type": "string"}} for name in (*HEADERS_OF_EVERY_DOWNLOAD, *headers)
        }
        | {"Digest": {"schema": {"type": "string"}, "description": "If Want-Digest asks for SHA-256 (RFC 3230)"}},
    }


def _parameters(*names: str) -> dict[str, Any]:
    fields = [{"name": name, "in": "header", "required": False, "schema": {"type": "string"}} for name in names]
    return {"parameters": fields}


WHOLE = _bytes("The bytes, with the media type that the file's name stands for, without a charset")
PART = _bytes("The bytes of the range", "Content-Range")
NOT_MODIFIED: dict[str, Any] = {"description": "The client has the bytes already"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A stored file that the caller may read, and its content."""

    caller: Caller
    file: File
    content: Content

    @property
    def representation(self) -> Representation:
        sealed_at = self.content.sealed_at
        return Representation(
            etag=f'"{self.content.sha256}"',
            # No date of an answer lies in the future (RFC 9110, 8.8.2.1), whatever the clock of the database says.
            modified_at=sealed_at and min(sealed_at, datetime.now(UTC)).replace(microsecond=0),
            length=self.content.length,
        )


async def _stored(file_id: Id, caller: Reading, service: ServiceDep) -> Stored:
    file = await service.stored_file(caller, file_id)
    content = await service.contents.get(file.content_id) if file.content_id else None
    if content is None or content.sha256 is None:
        await service.stored_file(caller, file_id)  # if the file was deleted just now, say so
        raise NotFound("The file's bytes are no longer stored.")
    return Stored(caller=caller, file=file, content=content)


StoredDep = Annotated[Stored, Depends(_stored)]


@router.head(
    "/{file_id}/content",
    summary="Look at the headers of a download",
    dependencies=[Security(download_link)],
    response_class=Response,
    responses={200: WHOLE, 304: NOT_MODIFIED, **documented(404, 409, 412)},
    openapi_extra=_parameters(*CONDITIONS, WANT_DIGEST),
)
async def head_content(request: Request, stored: StoredDep) -> Response:
    """Return the headers that a download of the whole file has.

    A `Range` field is ignored, because it has a meaning only for GET. No stored byte is read.
    """
    held = stored.representation
    if answer_to_head(request.headers, held) is Complete.NOT_MODIFIED:
        return _not_modified(request, stored, held)
    return Response(headers=_headers(request, stored, held))


@router.get(
    "/{file_id}/content",
    summary="Download the file's bytes, or a range of them",
    dependencies=[Security(download_link)],
    response_class=StreamingResponse,
    responses={200: WHOLE, 206: PART, 304: NOT_MODIFIED, **documented(404, 409, 412, 416)},
    openapi_extra=_parameters(*CONDITIONS, *RANGE_HEADERS, WANT_DIGEST),
)
async def get_content(request: Request, stored: StoredDep, service: ServiceDep) -> Response:
    """Download the bytes. Every byte is verified before it is sent.

    One range of bytes is answered with 206, several that do not touch with the whole file. If the server, or the
    account, has as many downloads as it may, this one waits up to 10 s for its turn. If a stored byte is wrong, the
    connection ends before the declared length.
    """
    held = stored.representation
    answer = answer_to_get(request.headers, held)
    if answer is Complete.NOT_MODIFIED:
        return _not_modified(request, stored, held)
    part = answer if isinstance(answer, ByteRange) else None
    chunks = _chunks(stored, part, service)
    try:
        # Read the first chunk before the response begins: until then an error can still be answered with a problem
        # document. If the client disconnects while it waits for its turn, its place in the queue is freed at once.
        first = await while_connected(request.receive, _first(stored, chunks, service))
    except BaseException:
        await chunks.aclose()
        raise
    if part is None:
        return Download(first, chunks, status=200, headers=_headers(request, stored, held))
    return Download(first, chunks, status=206, headers=_headers(request, stored, held) | _of_range(part, held))


async def _chunks(stored: Stored, part: ByteRange | None, service: Service) -> AsyncGenerator[bytes]:
    """Yield the chunks of the content, or the pieces of its part, while the caller's account holds memory for them.

    Raises DownloadsBusy and read errors.
    """
    content = stored.content
    if part is None:
        mib, at_once = whole_mib(content.chunk_count), CHUNKS_A_CALL
    else:
        mib, at_once = range_mib(len(chunks_of_range(part.start, part.stop))), CHUNKS_OF_RANGE_A_CALL
    async with service.downloads.hold(stored.caller.username, mib=mib):
        reading = (
            service.contents.read(content)
            if part is None
            else service.contents.read_range(content, start=part.start, stop=part.stop)
        )
        async with aclosing(read_in_thread(reading, at_once=at_once)) as chunks:
            async for chunk in chunks:
                yield chunk


async def _first(stored: Stored, chunks: AsyncGenerator[bytes], service: Service) -> bytes:
    """Return the first chunk, empty if there is none.

    Raises what `_chunks` raises, and StateConflict if the file was deleted while the download waited for its turn.
    """
    try:
        return await anext(chunks, b"")
    except IntegrityError:
        await service.stored_file(stored.caller, stored.file.id)
        raise


def _headers(request: Request, stored: Stored, held: Representation) -> dict[str, str]:
    sha256 = stored.content.sha256 or ""
    headers = {
        # Starlette adds a charset to a text type that it is given as `media_type`, and nobody knows the charset. So set
        # the header itself.
        "Content-Type": media_type_or_unknown(stored.file.content_type),
        "Content-Length": str(held.length),
        "Content-Disposition": write_attachment(stored.file.name),
        "Repr-Digest": write_repr_digest(sha256),
        "ETag": held.etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
    }
    if held.modified_at is not None:
        headers["Last-Modified"] = write_http_date(held.modified_at)
    if wants_sha256(request.headers.get(WANT_DIGEST, "")):  # aria2 asks so, and compares the bytes with the answer
        headers["Digest"] = write_digest(sha256)
    return headers


def _of_range(part: ByteRange, held: Representation) -> dict[str, str]:
    return {"Content-Length": str(part.length), "Content-Range": part.content_range(held.length)}


def _not_modified(request: Request, stored: Stored, held: Representation) -> Response:
    headers: Mapping[str, str] = _headers(request, stored, held)
    return Response(status_code=304, headers={name: headers[name] for name in HEADERS_OF_304 if name in headers})
