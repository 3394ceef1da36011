"""`DELETE /files/{id}`: delete a file's bytes, but never while an accepted delivery is open (docs/adr/0005)."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.auth import Deleting
from api.dependencies import Id, Service, ServiceDep
from api.schemas import FileView
from gridhaul.asgi.audit import audit
from gridhaul.asgi.problems import documented
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import DeliveryOpen, StateConflict
from gridhaul.transfer.model import File, Hint, RecordId, TaskName
from gridhaul.transfer.states import (
    BYTES_GONE,
    DELETABLE,
    DELIVERY_MOVES,
    FILE_MOVES,
    OPEN,
    Action,
    DeliveryState,
    FileState,
)

router = APIRouter(prefix="/files", tags=["files"])

AT_ITS_END = BYTES_GONE | {FileState.DELETING}
TRY_AGAIN_SECONDS = 2

Cancel = Annotated[bool, Query(description="First cancel storing the file and its open deliveries, then delete")]


@router.delete(
    "/{file_id}", status_code=202, summary="Delete a file and its stored bytes", responses=documented(404, 409)
)
async def delete_file(file_id: Id, caller: Deleting, service: ServiceDep, cancel: Cancel = False) -> FileView:
    """Delete the stored bytes. The record stays, and its state becomes DELETED.

    Delivered objects stay at their targets. A repeated request gets the same answer.
    """
    file = await delete_whole(service, caller, file_id, cancel=cancel)
    return FileView.of(file, service.obstacles)


async def delete_whole(service: Service, caller: Caller, file_id: RecordId, *, cancel: bool) -> File:
    """Delete the file, and with `cancel` first cancel storing it and its deliveries. Return it. Raises as the route."""
    file = await service.file(caller, file_id)
    if cancel:
        await _cancel(service, file.id, who=caller.username)
    # Read the file's count of deliveries before the deliveries: a delivery that is made later changes the count, and
    # then `request_delete` refuses.
    file = await service.file(caller, file_id)
    if file.state not in AT_ITS_END:
        file = await _delete(service, file, who=caller.username)
    audit("delete_file", file_id=file.id)
    if file.state is FileState.DELETING:
        service.hints.offer(Hint(task=TaskName.DELETE_FILE, record_id=file.id, queue=file.queue))
    return file


async def _cancel(service: Service, file_id: RecordId, *, who: str) -> None:
    """Cancel storing the file and its deliveries where their states allow it. A COMMITTING delivery stays open."""
    await service.files.move(file_id, FILE_MOVES[Action.CANCEL], who=who)
    for delivery in await service.deliveries.of_file(file_id):
        await service.deliveries.move(delivery.id, DELIVERY_MOVES[Action.CANCEL], who=who)


async def _delete(service: Service, file: File, *, who: str) -> File:
    """Move the file to DELETING and return it.

    Raises DeliveryOpen while a delivery is open, and StateConflict while the file is PAUSED or being stored.
    """
    for delivery in await service.deliveries.of_file(file.id):
        if delivery.state is DeliveryState.COMMITTING:
            raise DeliveryOpen(f"Delivery {delivery.id} is being committed just now; look again in a moment.")
        if delivery.state in OPEN:
            raise DeliveryOpen(f"Delivery {delivery.id} is {delivery.state}; wait for it, or cancel it first.")
    asked = await service.files.request_delete(file.id, deliveries_asked=file.deliveries_asked, who=who)
    if asked is not None and asked.state in AT_ITS_END:
        return asked
    if file.state in DELETABLE:
        detail = "A delivery of the file is being made just now; try again."
        raise DeliveryOpen(detail, retry_after_seconds=TRY_AGAIN_SECONDS)
    if file.state is FileState.PAUSED:
        raise StateConflict("The file is PAUSED; resume it, or cancel it first.")
    raise StateConflict("The file is still being stored; wait for it, or cancel it first.")
