"""`/files`: list and show files."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from api.auth import Reading
from api.dependencies import Cursor, Id, Limit, ServiceDep, States
from api.detail_schemas import FileDetailView
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
from gridhaul.asgi.problems import documented
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.states import FileState

router = APIRouter(prefix="/files", tags=["files"])


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
