"""Requests about ordered uploads at `/uploads`, whichever protocol they speak."""

from collections.abc import Collection

from fastapi import Request
from pydantic import ValidationError

from api.delete import AT_ITS_END, delete_whole
from api.dependencies import Service
from api.schemas import DeliverTo
from api.uploads.appending import finish_received
from api.uploads.body import declared_length
from api.uploads.ending import discard
from api.uploads.parts import reserved_length, upload_of
from api.uploads.states import refusal
from gridhaul.transfer.access import Caller, Scope
from gridhaul.transfer.errors import DoorConflict, InvalidValue, LeaseLost, PayloadTooLarge
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState

TARGETS_MOST = 16


async def settled(service: Service, file: File) -> File:
    """Return the file after a request that sends bytes of it has stored them and ended.

    Finish an upload all of whose bytes count already, unless its client says when it is complete: other clients take
    the offset for a success, and send no more.
    """
    if file.state is not FileState.RECEIVING:
        return file
    try:
        async with service.uploads.holdings.hold(file) as held:
            ends_itself = not upload_of(held.file).completed_by_request
            if ends_itself and held.file.stored_bytes == reserved_length(held.file):
                await finish_received(service.uploads, held)
            return held.file
    except LeaseLost:
        return await service.files.get(file.id) or file


async def end_upload(service: Service, caller: Caller, file: File) -> None:
    """End the upload. A file that is stored already is deleted, which needs the scope `delete`."""
    if file.state in AT_ITS_END:
        raise refusal(file)
    if file.state is not FileState.RECEIVING or not await discard(service, caller, file):
        caller.require(Scope.DELETE)
        await delete_whole(service, caller, file.id, cancel=True)


def require_door(file: File, doors: Collection[Door]) -> None:
    """Raise DoorConflict unless the upload was begun through one of the doors."""
    door = upload_of(file).door
    if door is Door.CHUNKS and door not in doors:
        raise DoorConflict("The upload takes chunks in any order; send them to its path `chunks`.")
    if door not in doors:
        raise DoorConflict("The upload was begun with another protocol; continue it with the same one.")


def require_room(request: Request, length: int | None, *, offset: int) -> None:
    """Raise PayloadTooLarge, before the body is read, if it goes beyond the end of an upload of this length."""
    coming = declared_length(request)
    if length is not None and coming is not None and offset + coming > length:
        raise PayloadTooLarge(f"The upload has {length} bytes; the request would go beyond its end.")


def destinations_in_query(request: Request) -> list[DeliverTo]:
    """Return where each `target` of the query says that the file is to be delivered. Raises InvalidValue."""
    targets = request.query_params.getlist("target")
    if len(targets) > TARGETS_MOST:
        raise InvalidValue(f"A file has at most {TARGETS_MOST} targets.")
    return [one for target in targets for one in destination_of(target, None)]


def destination_of(target: str | None, object_name: str | None, *, if_exists: str | None = None) -> list[DeliverTo]:
    """Return where an upload is to be delivered. `if_exists` is one of IfExists. Raises InvalidValue."""
    if target is None:
        return []
    named = {"target": target, "object_name": object_name, "if_exists": if_exists}
    try:
        return [DeliverTo.model_validate({name: value for name, value in named.items() if value is not None})]
    except ValidationError:
        detail = "The target, the name there, or the choice for a name that is taken does not have the documented form."
        raise InvalidValue(detail) from None
