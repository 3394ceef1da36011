"""`/files`: list and show files, and download their bytes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import quote

from fastapi import APIRouter, Request

from api.auth import Reading
from api.dependencies import Cursor, Id, Limit, ServiceDep
from api.download import Download, slotted
from api.schemas import DeliveriesView, DeliveryView, FilesView, FileView
from gridhaul.asgi.problems import documented
from gridhaul.outgoing.headers import write_repr_digest
from gridhaul.transfer.errors import NotFound
from gridhaul.transfer.model import File, RecordId
from gridhaul.transfer.states import FileState

router = APIRouter(prefix="/files", tags=["files"])

CONTENT = {
    "description": "The bytes, with the file's own content type",
    "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    "headers": {name: {"required": True, "schema": {"type": "string"}} for name in ("Repr-Digest", "ETag")},
}


@router.get("", summary="List files, newest first")
async def list_files(
    caller: Reading,
    service: ServiceDep,
    state: FileState | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> FilesView:
    before = RecordId(cursor) if cursor else None
    files = await service.files.page(owner=caller.sees_only, state=state, limit=limit, before=before)
    next_cursor = files[-1].id if len(files) == limit else None
    return FilesView(files=[FileView.of(file) for file in files], next_cursor=next_cursor)


@router.get("/{file_id}", summary="Get one file", responses=documented(404))
async def get_file(file_id: Id, caller: Reading, service: ServiceDep) -> FileView:
    return FileView.of(await service.file(caller, file_id))


@router.get("/{file_id}/deliveries", summary="List a file's deliveries, oldest first", responses=documented(404))
async def list_deliveries(file_id: Id, caller: Reading, service: ServiceDep) -> DeliveriesView:
    await service.file(caller, file_id)
    deliveries = await service.deliveries.of_file(file_id)
    return DeliveriesView(deliveries=[DeliveryView.of(delivery) for delivery in deliveries])


@router.get(
    "/{file_id}/content",
    summary="Download the file's bytes",
    response_class=Download,
    responses={200: CONTENT, **documented(404, 409)},
)
async def get_content(request: Request, file_id: Id, caller: Reading, service: ServiceDep) -> Download:
    """Download the bytes. Every byte is verified before it is sent.

    If a stored byte is wrong, the connection ends before the declared length.
    """
    file = await service.stored_file(caller, file_id)
    content = await service.contents.get(file.content_id) if file.content_id else None
    if content is None:  # the file was deleted after its record was read
        raise NotFound("The file's bytes are no longer stored.")
    chunks = slotted(service.contents.read(content), service.downloads)
    try:
        # Read the first chunk before the response begins: an error in a small file is still a problem document then.
        first = await anext(chunks, b"")
    except BaseException:
        await chunks.aclose()
        raise
    return Download(_stream(first, chunks), headers=_content_headers(file), media_type=file.content_type)


async def _stream(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(rest):
        if first:
            yield first
        async for chunk in rest:
            yield chunk


def _content_headers(file: File) -> dict[str, str]:
    assert file.sha256 is not None, "a stored file has a digest"  # noqa: S101
    return {
        "Content-Length": str(file.length),
        "Repr-Digest": write_repr_digest(file.sha256),
        "ETag": f'"{file.sha256}"',
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name.rsplit('/', 1)[-1], safe='')}",
        "Accept-Ranges": "none",
    }
