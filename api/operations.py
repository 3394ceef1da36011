"""What an operator does to a file or a delivery: cancel, pause, resume, retry. Repeated: the same answer."""

from collections.abc import Mapping

from fastapi import APIRouter

from api.account_limits import retry_charged, room_for_one
from api.auth import Finalizing, Preparing
from api.dependencies import Id, Service, ServiceDep
from api.prepare import renewed_source
from api.schemas import DeliveryView, FileView
from gridhaul.asgi.problems import documented
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import StateConflict
from gridhaul.transfer.model import Delivery, File, Hint, RecordId, TaskName
from gridhaul.transfer.states import DELIVERY_MOVES, FILE_MOVES, REOPENABLE, Action, DeliveryState, FileState

router = APIRouter(tags=["operations"])

MOVED = documented(404, 409)
SOURCE = documented(404, 409, 413, 507)  # the source is looked at again

FILE_ADVICE: Mapping[FileState, str] = {
    FileState.REGISTERED: "it changed just now; try again.",
    FileState.STORING: "it changed just now; try again.",
    FileState.PAUSED: "resume lets it go on.",
    FileState.STORED: "it is over; DELETE removes it.",
    FileState.FAILED: "it is over; retry stores it again.",
    FileState.CANCELLED: "it is over; retry stores it again.",
    FileState.DELETING: "its bytes are gone; prepare it again.",
    FileState.DELETED: "its bytes are gone; prepare it again.",
}
DELIVERY_ADVICE: Mapping[DeliveryState, str] = {
    DeliveryState.QUEUED: "it changed just now; try again.",
    DeliveryState.STREAMING: "it changed just now; try again.",
    DeliveryState.COMMITTING: "it is being committed just now; look again in a moment.",
    DeliveryState.PAUSED: "resume lets it go on.",
    DeliveryState.DELIVERED: "it is over; the object is at the target.",
    DeliveryState.FAILED: "it is over; retry queues it again.",
    DeliveryState.CANCELLED: "it is over; retry queues it again.",
}


@router.post("/files/{file_id}/cancel", summary="Stop storing a file for good", responses=MOVED)
async def cancel_file(file_id: Id, caller: Preparing, service: ServiceDep) -> FileView:
    """What is stored stays for a retry, until DELETE. Who stores it stops within a second or so."""
    return FileView.of(await move_file(service, caller, file_id, Action.CANCEL))


@router.post("/files/{file_id}/pause", summary="Stop storing a file for now", responses=MOVED)
async def pause_file(file_id: Id, caller: Preparing, service: ServiceDep) -> FileView:
    """What is stored stays. Who stores it stops within a second or so."""
    return FileView.of(await move_file(service, caller, file_id, Action.PAUSE))


@router.post("/files/{file_id}/resume", summary="Go on storing a paused file", responses=MOVED)
async def resume_file(file_id: Id, caller: Preparing, service: ServiceDep) -> FileView:
    """What was stored is not sent again."""
    return FileView.of(await move_file(service, caller, file_id, Action.RESUME))


@router.post("/files/{file_id}/retry", summary="Store a failed or cancelled file after all", responses=SOURCE)
async def retry_file(file_id: Id, caller: Preparing, service: ServiceDep) -> FileView:
    """What was stored is not sent again, unless the source is another one now: then it starts over."""
    file = await service.file(caller, file_id)
    if file.state not in FILE_MOVES[Action.RETRY].from_states:
        return FileView.of(await move_file(service, caller, file_id, Action.RETRY))
    _require_target(file, caller)
    changes = await renewed_source(file, caller, service)
    async with room_for_one(service, file.owner, await service.accounts.named(file.owner)):
        moved = await retry_charged(service, file, changes)
    return FileView.of(await _moved(service, caller, file_id, Action.RETRY, moved))


@router.post("/deliveries/{delivery_id}/cancel", summary="Stop a delivery for good", responses=MOVED)
async def cancel_delivery(delivery_id: Id, caller: Finalizing, service: ServiceDep) -> DeliveryView:
    """Its name is free; what it left at the target is removed a little later."""
    return DeliveryView.of(await move_delivery(service, caller, delivery_id, Action.CANCEL))


@router.post("/deliveries/{delivery_id}/pause", summary="Stop a delivery for now", responses=MOVED)
async def pause_delivery(delivery_id: Id, caller: Finalizing, service: ServiceDep) -> DeliveryView:
    """It keeps its name at the target."""
    return DeliveryView.of(await move_delivery(service, caller, delivery_id, Action.PAUSE))


@router.post("/deliveries/{delivery_id}/resume", summary="Go on with a paused delivery", responses=MOVED)
async def resume_delivery(delivery_id: Id, caller: Finalizing, service: ServiceDep) -> DeliveryView:
    return DeliveryView.of(await move_delivery(service, caller, delivery_id, Action.RESUME))


@router.post("/deliveries/{delivery_id}/retry", summary="Queue a failed or cancelled delivery again", responses=MOVED)
async def retry_delivery(delivery_id: Id, caller: Finalizing, service: ServiceDep) -> DeliveryView:
    delivery = await service.delivery(caller, delivery_id)
    if delivery.state in REOPENABLE:
        file = await service.stored_file(caller, delivery.file_id)
        delivery = await move_delivery(service, caller, delivery_id, Action.RETRY, queue=file.queue)
        await service.accept(delivery)
        return DeliveryView.of(delivery)
    return DeliveryView.of(await move_delivery(service, caller, delivery_id, Action.RETRY))


async def move_file(service: Service, caller: Caller, file_id: RecordId, action: Action) -> File:
    """The file after the action, or as it is if there is nothing left to do.

    Raises NotFound, StateConflict, and Forbidden if it is to go to a target that is not the caller's any more.
    """
    move = FILE_MOVES[action]
    file = await service.file(caller, file_id)
    if move.to_state is FileState.REGISTERED:
        _require_target(file, caller)
    return await _moved(service, caller, file_id, action, await service.files.move(file_id, move))


def _require_target(file: File, caller: Caller) -> None:
    """Once it is stored it is delivered. Raises Forbidden."""
    if file.deliver_to is not None:
        caller.require_target(file.deliver_to.target)


async def _moved(service: Service, caller: Caller, file_id: RecordId, action: Action, moved: File | None) -> File:
    """Hints the file if it was moved and waits; else finds out what there is to say."""
    if moved is None:
        file = await service.file(caller, file_id)
        if file.state not in FILE_MOVES[action].done_in:
            raise StateConflict(f"The file is {file.state}: {FILE_ADVICE[file.state]}")
        return file
    if moved.state is FileState.REGISTERED:
        service.hints.offer(Hint(task=TaskName.UPLOAD_FILE, record_id=moved.id, queue=moved.queue))
    return moved


async def move_delivery(
    service: Service, caller: Caller, delivery_id: RecordId, action: Action, **changes: object
) -> Delivery:
    """The delivery after the action, or as it is if there is nothing left to do.

    Raises NotFound, StateConflict, and Forbidden if it would go on to a target that is not the caller's any more.
    """
    move = DELIVERY_MOVES[action]
    delivery = await service.delivery(caller, delivery_id)
    if move.to_state is DeliveryState.QUEUED:
        caller.require_target(delivery.target)
    moved = await service.deliveries.move(delivery_id, move, **changes)
    if moved is None:
        delivery = await service.delivery(caller, delivery_id)
        if delivery.state not in move.done_in:
            raise StateConflict(f"The delivery is {delivery.state}: {DELIVERY_ADVICE[delivery.state]}")
        return delivery
    if moved.state is DeliveryState.QUEUED:
        service.hints.offer(Hint(task=TaskName.FINALIZE_FILE, record_id=moved.id, queue=moved.queue))
    return moved
