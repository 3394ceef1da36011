"""`/files`: what there is, its bytes, and its end."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request

from api.auth import Caller
from api.dependencies import Id, Parts
from api.download import Download, slotted
from api.schemas import DeliveriesView, DeliveryView, FilesView, FileView
from gridhaul.headers import write_repr_digest
from gridhaul.transfer.errors import DeliveryOpen, NotFound, StateConflict
from gridhaul.transfer.model import File, Hint, RecordId, TaskName
from gridhaul.transfer.states import DELIVERABLE, FileState

router = APIRouter(prefix="/files", tags=["files"])

Cursor = Annotated[str | None, Query(pattern="^[0-9a-f]{24}$", description="`next_cursor` of the page before")]


@router.get("", summary="List files, newest first")
async def list_files(
    _: Caller,
    parts: Parts,
    state: FileState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Cursor = None,
) -> FilesView:
    before = RecordId(cursor) if cursor else None
    files = await parts.files.page(state=state, limit=limit, before=before)
    next_cursor = files[-1].id if len(files) == limit else None
    return FilesView(files=[FileView.of(file) for file in files], next_cursor=next_cursor)


@router.get("/{file_id}", summary="One file")
async def get_file(file_id: Id, _: Caller, parts: Parts) -> FileView:
    return FileView.of(await parts.file(file_id))


@router.get("/{file_id}/deliveries", summary="A file's deliveries, oldest first")
async def list_deliveries(file_id: Id, _: Caller, parts: Parts) -> DeliveriesView:
    await parts.file(file_id)
    deliveries = await parts.deliveries.of_file(file_id)
    return DeliveriesView(deliveries=[DeliveryView.of(delivery) for delivery in deliveries])


@router.get(
    "/{file_id}/content",
    summary="The file's bytes",
    response_class=Download,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
async def get_content(request: Request, file_id: Id, _: Caller, parts: Parts) -> Download:
    """Every byte is verified before it is sent; if one is wrong, the connection ends before the declared length."""
    file = await parts.stored_file(file_id)
    content = await parts.contents.get(file.content_id) if file.content_id else None
    if content is None:  # deleted just now
        raise NotFound("The file's bytes are no longer there.")
    chunks = slotted(parts.contents.read(content), parts.downloads)
    try:
        first = await anext(chunks, b"")  # an error in a small file is still a problem document
    except BaseException:
        await chunks.aclose()
        raise
    return Download(_stream(first, chunks), headers=_content_headers(file), media_type=file.content_type)


@router.delete("/{file_id}", status_code=202, summary="Delete a file and its stored bytes")
async def delete_file(file_id: Id, _: Caller, parts: Parts) -> FileView:
    """The record stays, with state DELETED. What was delivered stays where it is. Repeated: the same answer."""
    await parts.file(file_id)
    for delivery in await parts.deliveries.of_file(file_id):
        if delivery.state in DELIVERABLE:
            raise DeliveryOpen(f"Delivery {delivery.id} is not over; wait for it.")
    file = await parts.files.request_delete(file_id)
    if file is None or file.state not in (FileState.DELETING, FileState.DELETED):
        raise StateConflict("The file is still being worked on; wait until it is stored, and its delivery made.")
    if file.state is FileState.DELETING:
        parts.hints.offer(Hint(task=TaskName.DELETE_FILE, record_id=file.id, queue=file.queue))
    return FileView.of(file)


async def _stream(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(rest):
        if first:
            yield first
        async for chunk in rest:
            yield chunk


def _content_headers(file: File) -> dict[str, str]:
    assert file.sha256 is not None, "the caller has checked"  # noqa: S101
    return {
        "Content-Length": str(file.length),
        "Repr-Digest": write_repr_digest(file.sha256),
        "ETag": f'"{file.sha256}"',
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name.rsplit('/', 1)[-1], safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "none",
    }
