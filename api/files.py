"""`/files`: list and show files, and download their bytes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from api.auth import Reading
from api.dependencies import Cursor, Id, Limit, Service, ServiceDep, States
from api.detail_schemas import FileDetailView
from api.download import Download, read_in_thread
from api.listing import (
    FILE_LISTS,
    FiltersDep,
    documented_lines,
    json_lines,
    link_headers,
    next_cursor,
    select,
    wants_lines,
)
from api.schemas import DeliveriesView, DeliveryView, FilesView, FileView
from gridhaul.asgi.disconnection import while_connected
from gridhaul.asgi.problems import documented
from gridhaul.outgoing.headers import write_repr_digest
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import NotFound
from gridhaul.transfer.media_types import media_type_or_unknown
from gridhaul.transfer.model import File, RecordId
from gridhaul.transfer.states import FileState

router = APIRouter(prefix="/files", tags=["files"])

CONTENT = {
    "description": "The bytes, with the media type that the file's name stands for, without a charset",
    "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    "headers": {
        name: {"required": True, "schema": {"type": "string"}} for name in ("Repr-Digest", "ETag", "Cache-Control")
    },
}


@router.get(
    "",
    summary="List files, newest first or by name",
    response_model=FilesView,
    responses=documented_lines("FileView") | documented(404),
)
async def list_files(
    request: Request,
    response: Response,
    caller: Reading,
    service: ServiceDep,
    filters: FiltersDep,
    state: Annotated[tuple[FileState, ...], States] = (),
    limit: Limit = 100,
    cursor: Cursor = None,
) -> FilesView | StreamingResponse:
    selection = select(caller, filters, FILE_LISTS, state=state)
    after = await service.file(caller, RecordId(cursor)) if cursor else None
    files = await service.files.page(selection, limit=limit, after=after)
    following = next_cursor(files, limit)
    headers = link_headers(request, following)
    if wants_lines(request):
        return json_lines((FileView.of(file, service.obstacles) for file in files), headers)
    response.headers.update(headers)
    return FilesView(files=[FileView.of(file, service.obstacles) for file in files], next_cursor=following)


@router.get("/{file_id}", summary="Get one file", responses=documented(404))
async def get_file(file_id: Id, caller: Reading, service: ServiceDep) -> FileDetailView:
    return FileDetailView.of(await service.file(caller, file_id), service.obstacles)


@router.get("/{file_id}/deliveries", summary="List a file's deliveries, oldest first", responses=documented(404))
async def list_deliveries(file_id: Id, caller: Reading, service: ServiceDep) -> DeliveriesView:
    await service.file(caller, file_id)
    deliveries = await service.deliveries.of_file(file_id)
    return DeliveriesView(deliveries=[DeliveryView.of(delivery, service.obstacles) for delivery in deliveries])


@router.get(
    "/{file_id}/content",
    summary="Download the file's bytes",
    response_class=StreamingResponse,
    responses={200: CONTENT, **documented(404, 409)},
)
async def get_content(request: Request, file_id: Id, caller: Reading, service: ServiceDep) -> Download:
    """Download the bytes. Every byte is verified before it is sent.

    If the server, or the account, has as many downloads as it may, this one waits up to 10 s for a slot.
    If a stored byte is wrong, the connection ends before the declared length.
    """
    file = await service.stored_file(caller, file_id)
    chunks = _chunks(file, caller=caller, service=service)
    try:
        # Read the first chunk before the response begins: until then an error can still be answered with a problem
        # document. If the client disconnects while it waits for a slot, its place in the queue is freed at once.
        first = await while_connected(request.receive, _first(chunks))
    except BaseException:
        await chunks.aclose()
        raise
    return Download(first, chunks, headers=_content_headers(file))


async def _chunks(file: File, *, caller: Caller, service: Service) -> AsyncGenerator[bytes]:
    """Yield the chunks of the file while the caller's account holds a slot.

    Raises DownloadsBusy, NotFound, StateConflict if the file was deleted meanwhile, and read errors.
    """
    async with service.downloads.hold(caller.username):
        content = await service.contents.get(file.content_id) if file.content_id else None
        # The file may have been deleted while the download waited for its slot. Look for the file after its content was
        # read: a file that is STORED now had a whole content then.
        await service.stored_file(caller, file.id)
        if content is None:
            raise NotFound("The file's bytes are no longer stored.")
        async with aclosing(read_in_thread(service.contents.read(content))) as chunks:
            async for chunk in chunks:
                yield chunk


async def _first(chunks: AsyncGenerator[bytes]) -> bytes:
    return await anext(chunks, b"")


def _content_headers(file: File) -> dict[str, str]:
    assert file.sha256 is not None, "a stored file has a digest"  # noqa: S101
    return {
        # Starlette adds a charset to a text type that it is given as `media_type`, and nobody knows the charset. So set
        # the header itself.
        "Content-Type": media_type_or_unknown(file.content_type),
        "Content-Length": str(file.length),
        "Repr-Digest": write_repr_digest(file.sha256),
        "ETag": f'"{file.sha256}"',
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name.rsplit('/', 1)[-1], safe='')}",
        "Accept-Ranges": "none",
        "Cache-Control": "private, no-store",
    }
