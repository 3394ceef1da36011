"""Deletes the files of a batch many at a time: their bytes, then later whatever arrived after these were deleted."""

from gridhaul.transfer.batches import Batch, BatchState
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.states import Action
from tasks.attempt import AFTER_PROGRESS, Tenure
from tasks.runtime import Runtime

FILES_A_WRITE = 500
TRY_AGAIN_SECONDS = 5.0
NONE_YET = RecordId("f" * 24)  # comes before the ids of all files, because the newest are swept first


async def delete_files(runtime: Runtime, batch: Batch, tenure: Tenure) -> bool:
    """Delete what can be deleted now. Return whether nothing of the batch is stored or can still arrive.

    If not, the batch is released, and due again later. If files still have open deliveries, or a request that ran
    beside the delete queued a member, all members are cancelled again then.
    """
    deleted, busy = await _delete_all(runtime, batch, tenure)
    if busy or await runtime.batches.members.any_open(batch.id):
        await _release(runtime, batch, TRY_AGAIN_SECONDS, following=Action.CANCEL, followed=1)
        return False
    if deleted or batch.swept is None:
        await _release(runtime, batch, runtime.settings.sweep_seconds, swept=NONE_YET)
        return False
    await _sweep_all(runtime, batch, batch.swept, tenure)
    return True


async def _release(runtime: Runtime, batch: Batch, delay_seconds: float, **changes: object) -> None:
    done = {"error": None, **AFTER_PROGRESS, **changes}
    await runtime.batches.records.release(batch.lease, BatchState.DELETING, delay_seconds=delay_seconds, **done)


async def _delete_all(runtime: Runtime, batch: Batch, tenure: Tenure) -> tuple[int, int]:
    """Delete the files that are over. Return how many were deleted, and how many have an open delivery.

    Every step can be repeated.
    """
    deletion, deleted = runtime.batches.deletion, 0
    while True:
        found = await deletion.begin_delete(batch.id, limit=FILES_A_WRITE)
        if not found.files:
            return deleted, found.busy
        deleted += len(found.files)
        tenure.check()
        refs = {file.content_id: file.id for file in found.files if file.content_id is not None}
        await runtime.contents.drop_refs(refs)
        await runtime.usage.announce(batch.owner)
        # If another request deleted some of the files meanwhile, nobody knows whose bytes were released already. Then
        # the next recount corrects the account.
        if await deletion.end_delete(found.files):
            await runtime.usage.release(batch.owner, sum(file.length for file in found.files))


async def _sweep_all(runtime: Runtime, batch: Batch, swept: RecordId, tenure: Tenure) -> None:
    while files := await runtime.batches.deletion.deleted(batch.id, after=swept, limit=FILES_A_WRITE):
        tenure.check()
        await runtime.contents.sweep_all([file.content_id for file in files if file.content_id is not None])
        swept = files[-1].id
        await runtime.batches.records.renew(batch.lease, swept=swept)
