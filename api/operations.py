"""Routes to cancel, pause, resume and retry a file or a delivery. A repeated request gets the same answer."""

from collections.abc import Mapping

from fastapi import APIRouter

from api.account_limits import room_for_one
from api.auth import Finalizing, Preparing
from api.dependencies import Id, Service, ServiceDep
from api.file_advice import advice_on
from api.members import hint, let_batch_go_on
from api.prepare import renewed_source
from api.schemas import DeliveryView, FileView
from gridhaul.asgi.problems import documented
from gridhaul.transfer.access import Caller
from gridhaul.transfer.charging import retry_charged
from gridhaul.transfer.errors import StateConflict
from gridhaul.transfer.model import Delivery, File, RecordId, TaskName
from gridhaul.transfer.states import DELIVERY_MOVES, STORABLE, Action, DeliveryState

router = APIRouter(tags=["operations"])

MOVED = documented(404, 409)
SOURCE = documented(404, 409, 413, 507)  # a retry opens the source again and charges the quota

DELIVERY_ADVICE: Mapping[DeliveryState, str] = {
    DeliveryState.QUEUED: "it changed just now; try again.",
    DeliveryState.STREAMING: "it changed just now; try again.",
    DeliveryState.COMMITTING: "it is being committed just now; look again in a moment.",
    DeliveryState.PAUSED: "resume continues it.",
    DeliveryState.DELIVERED: "it is finished; a check (fsck) finds out whether its object is lost.",
    DeliveryState.FAILED: "it has stopped; retry queues it again.",
    DeliveryState.CANCELLED: "it has stopped; retry queues it again.",
}


@router.post("/files/{file_id}/cancel", summary="Stop storing a file for good", responses=MOVED)
async def cancel_file(file_id: Id, caller: Preparing, service: ServiceDep) -> FileView:
    """Stop storing the file; its worker stops within about a second.

    Stored bytes stay, and count against the quota, until DELETE. A retry uses them again. An upload has no retry: it
    cannot be continued, and its client uploads the file again.
    """
    return FileView.of(await move_file(file_id, Action.CANCEL, caller=caller, service=service), service.obstacles)


@router.post("/files/{file_id}/pause", summary="Stop storing a file for now", responses=MOVED)
async def pause_file(file_id: Id, caller: Preparing, service: ServiceDep) -> FileView:
    """Stop storing the file; its worker stops within about a second. Stored bytes stay."""
    return FileView.of(await move_file(file_id, Action.PAUSE, caller=caller, service=service), service.obstacles)


@router.post("/files/{file_id}/resume", summary="Continue to store a paused file", responses=MOVED)
async def resume_file(file_id: Id, caller: Preparing, service: ServiceDep) -> FileView:
    """Continue to store the file. Bytes that are stored already are not sent again."""
    return FileView.of(await move_file(file_id, Action.RESUME, caller=caller, service=service), service.obstacles)


@router.post("/files/{file_id}/retry", summary="Store a failed or cancelled file again", responses=SOURCE)
async def retry_file(file_id: Id, caller: Preparing, service: ServiceDep) -> FileView:
    """Store the file again. Bytes that are stored already are not sent again, unless the source has changed.

    If the source has changed, storing starts over. A file that waits for its next attempt need not wait any longer.
    """
    file = await service.file(caller, file_id)
    if file.state not in file.origin.moves[Action.RETRY].from_states:
        return FileView.of(await move_file(file_id, Action.RETRY, caller=caller, service=service), service.obstacles)
    _check_target(file, caller=caller, service=service)
    await let_batch_go_on(service, file)
    changes = await renewed_source(file, caller=caller, service=service)
    async with room_for_one(service, file.owner, account=await service.accounts.named(file.owner)):
        moved = await retry_charged(service.usage, service.files, file, changes=changes, who=caller.username)
    file = await _after_move(moved, file_id=file_id, action=Action.RETRY, caller=caller, service=service)
    return FileView.of(file, service.obstacles)


@router.post("/deliveries/{delivery_id}/cancel", summary="Stop a delivery for good", responses=MOVED)
async def cancel_delivery(delivery_id: Id, caller: Finalizing, service: ServiceDep) -> DeliveryView:
    """Stop the delivery. What it left at the target is removed a little later.

    Its object name becomes free for other deliveries: at once, or after that removal where the delivery wrote straight
    to the name because the target cannot commit atomically.
    """
    delivery = await move_delivery(delivery_id, Action.CANCEL, caller=caller, service=service)
    return DeliveryView.of(delivery, service.obstacles)


@router.post("/deliveries/{delivery_id}/pause", summary="Stop a delivery for now", responses=MOVED)
async def pause_delivery(delivery_id: Id, caller: Finalizing, service: ServiceDep) -> DeliveryView:
    """Stop the delivery. It keeps its object name at the target, so no other delivery can use that name."""
    delivery = await move_delivery(delivery_id, Action.PAUSE, caller=caller, service=service)
    return DeliveryView.of(delivery, service.obstacles)


@router.post("/deliveries/{delivery_id}/resume", summary="Continue a paused delivery", responses=MOVED)
async def resume_delivery(delivery_id: Id, caller: Finalizing, service: ServiceDep) -> DeliveryView:
    delivery = await move_delivery(delivery_id, Action.RESUME, caller=caller, service=service)
    return DeliveryView.of(delivery, service.obstacles)


@router.post("/deliveries/{delivery_id}/retry", summary="Queue a delivery again that is over", responses=MOVED)
async def retry_delivery(delivery_id: Id, caller: Finalizing, service: ServiceDep) -> DeliveryView:
    """Queue the delivery again.

    This is also done for a delivery that is DELIVERED, if a check has found its object lost (`object_error`). Its
    receipt then moves to `former_receipts`.
    """
    delivery = await service.delivery(caller, delivery_id)
    if delivery.may(DELIVERY_MOVES[Action.RETRY]):
        file = await service.stored_file(caller, delivery.file_id)
        await _require_name_unused(service, delivery)
        delivery = await move_delivery(delivery_id, Action.RETRY, caller=caller, service=service, queue=file.queue)
        await service.accept(delivery)
        return DeliveryView.of(delivery, service.obstacles)
    delivery = await move_delivery(delivery_id, Action.RETRY, caller=caller, service=service)
    return DeliveryView.of(delivery, service.obstacles)


async def _require_name_unused(service: Service, delivery: Delivery) -> None:
    """Raise StateConflict if a retry could put a lost object over the object of a later delivery."""
    if delivery.state is DeliveryState.DELIVERED and await service.deliveries.why_not_ours(delivery) is not None:
        raise StateConflict(
            "Another delivery has put other bytes under the object's name since, or is about to; deliver the file "
            "under another name."
        )


async def move_file(file_id: RecordId, action: Action, *, caller: Caller, service: Service) -> File:
    """Do the action and return the file, which is unchanged if the action is done already.

    Raises NotFound, StateConflict, and TargetUnknown if the file is to be delivered to a target that the caller may no
    longer use.
    """
    file = await service.file(caller, file_id)
    move = file.origin.moves[action]
    if move.to_state in STORABLE:
        _check_target(file, caller=caller, service=service)
        await let_batch_go_on(service, file)
    moved = await service.files.move(file_id, move, who=caller.username)
    return await _after_move(moved, file_id=file_id, action=action, caller=caller, service=service)


def _check_target(file: File, *, caller: Caller, service: Service) -> None:
    """Raise TargetUnknown if the file, once stored, is to be delivered to a target that the caller may not use."""
    for destination in file.deliver_to:
        service.check_target(caller, destination.target)


async def _after_move(
    moved: File | None, *, file_id: RecordId, action: Action, caller: Caller, service: Service
) -> File:
    """Return the moved file, and send a hint if the file waits for a worker.

    If the file was not moved (None), return the file if the action is done already; a retry ends its waiting for the
    next attempt. Raises NotFound, StateConflict.
    """
    if moved is None and action is Action.RETRY:
        moved = await service.files.hurry(file_id, who=caller.username)
    if moved is None:
        file = await service.file(caller, file_id)
        if file.state not in file.origin.moves[action].done_in:
            raise StateConflict(f"The file is {file.state}: {advice_on(file)}")
        return file
    if moved.state in STORABLE:
        await hint(service, moved, TaskName.UPLOAD_FILE)
    return moved


async def move_delivery(
    delivery_id: RecordId, action: Action, *, caller: Caller, service: Service, **changes: object
) -> Delivery:
    """Do the action, with further `changes` of the record, and return the delivery.

    The delivery is unchanged if the action is done already, except that a retry ends its waiting for the next attempt.

    Raises NotFound, StateConflict, and TargetUnknown if the delivery would continue to a target that the caller may no
    longer use.
    """
    move = DELIVERY_MOVES[action]
    delivery = await service.delivery(caller, delivery_id)
    if move.to_state is DeliveryState.QUEUED:
        service.check_target(caller, delivery.target)
        await let_batch_go_on(service, delivery)
    moved = await service.deliveries.move(delivery_id, move, who=caller.username, **changes)
    if moved is None and action is Action.RETRY:
        moved = await service.deliveries.hurry(delivery_id, who=caller.username)
    if moved is None:
        delivery = await service.delivery(caller, delivery_id)
        if delivery.state not in move.done_in:
            raise StateConflict(f"The delivery is {delivery.state}: {DELIVERY_ADVICE[delivery.state]}")
        return delivery
    if moved.state is DeliveryState.QUEUED:
        await hint(service, moved, TaskName.FINALIZE_FILE)
    return moved
