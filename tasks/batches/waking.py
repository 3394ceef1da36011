"""Wakes what works on a batch: the lanes of its members, and the batch's own record."""

from collections.abc import Collection

from gridhaul.transfer.batches import Batch
from gridhaul.transfer.model import Hint, Queue, RecordId, TaskName
from tasks.runtime import Runtime


async def wake_lanes(runtime: Runtime, batch: Batch, queues: Collection[Queue] = (Queue.SMALL, Queue.LARGE)) -> None:
    for hint in await runtime.batches.lanes.wake(batch.id, batch.owner, queues):
        runtime.hints.offer(hint)


async def wake_lanes_of_due(runtime: Runtime, batch: Batch) -> None:
    """Wake the lanes that have due members: whoever made a member due may have died before it woke the lane."""
    members = runtime.batches.members
    due = {queue: await members.due(batch.id, queue, limit=1) for queue in (Queue.SMALL, Queue.LARGE)}
    await wake_lanes(runtime, batch, [queue for queue, some in due.items() if some.deliveries or some.files])


async def look_soon(runtime: Runtime, batch_id: RecordId) -> None:
    """Let a running batch see whether it is over."""
    if await runtime.batches.records.look_soon(batch_id):
        hint_batch(runtime, batch_id)


def hint_batch(runtime: Runtime, batch_id: RecordId) -> None:
    """Send the hint that lets a worker look at the batch's own record."""
    runtime.hints.offer(Hint(task=TaskName.RUN_BATCH, record_id=batch_id, queue=Queue.MAINTENANCE))
