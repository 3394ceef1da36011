"""Uploads that end before all their bytes are there."""

from contextlib import suppress

from api.delete import delete_whole
from api.dependencies import Service
from api.uploads.parts import upload_of
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import GridhaulError
from gridhaul.transfer.model import File
from gridhaul.transfer.states import UPLOAD_MOVES, Action, FileState


async def end_unfinished(service: Service, caller: Caller, file: File) -> bool:
    """Cancel and delete the upload. Return False, and change nothing, if it is stored or over already."""
    if await service.files.move(file.id, UPLOAD_MOVES[Action.CANCEL], who=caller.username) is None:
        return False
    await delete_whole(service, caller, file.id, cancel=False)
    return True


async def end_if_lost(service: Service, caller: Caller, file: File, *, can_continue: bool) -> bool:
    """End an upload whose first request has failed, unless its client can continue it with bytes that are stored.

    Nobody would use the quota that is reserved for it until it expires. Return whether it was ended. Errors of the
    database are passed over: the upload then expires.
    """
    with suppress(GridhaulError):
        now = await service.files.get(file.id)
        if now is None or now.state is not FileState.RECEIVING or upload_of(now).holder is not None:
            return False
        if not (can_continue and now.stored_bytes):
            return await end_unfinished(service, caller, now)
    return False
