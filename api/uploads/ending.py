"""Uploads that end before all their bytes are there."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from api.dependencies import Service
from api.uploads.parts import upload_of
from api.uploads.states import has_all_bytes
from gridhaul.asgi.audit import audit
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import GridhaulError, UploadTakenOver
from gridhaul.transfer.model import File, Hint, TaskName


async def discard(service: Service, caller: Caller, file: File, *, fence: int | None = None) -> bool:
    """Delete an upload that is RECEIVING, and has the fence if one is named. Otherwise return False, and do nothing."""
    discarded = await service.uploads.registry.discard(file.id, who=caller.username, fence=fence)
    if discarded is None:
        return False
    audit("delete_file", file_id=file.id)
    service.hints.offer(Hint(task=TaskName.DELETE_FILE, record_id=discarded.id, queue=discarded.queue))
    return True


async def discard_if_lost(service: Service, caller: Caller, file: File, *, can_continue: bool) -> bool:
    """Delete an upload whose first request has failed, unless bytes are stored and its client can continue it.

    Otherwise nobody would use the quota that is reserved for it until it expires. An upload that another request has
    taken stays. Return whether the upload was deleted. If the database does not answer, the upload expires later.
    """
    with suppress(GridhaulError):
        now = await service.files.get(file.id)
        if now is not None and upload_of(now).holder is None and not (can_continue and now.stored_bytes):
            return await discard(service, caller, now, fence=now.fence)
    return False


@asynccontextmanager
async def discarded_if_lost(
    service: Service, caller: Caller, file: File, *, can_continue: bool
) -> AsyncGenerator[None]:
    """Delete a new upload if its request fails, unless bytes are stored and the client can continue it.

    Ignores that somebody else has finished the upload.
    """
    audit("create_upload", file_id=file.id)
    try:
        yield
    except UploadTakenOver:
        if not has_all_bytes(await service.file(caller, file.id)):
            raise
    except Exception:
        await discard_if_lost(service, caller, file, can_continue=can_continue)
        raise
