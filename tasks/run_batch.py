"""The journey of a batch's own record: let the members follow an operator, register files, see whether it is over."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gridhaul.transfer.batch_counts import count_batch
from gridhaul.transfer.batches import Batch, BatchState, Counts, Summary
from gridhaul.transfer.manifests import SumsDigest
from gridhaul.transfer.model import Hint, Queue, RecordId, TaskName
from gridhaul.transfer.states import Action
from tasks.attempt import Meter, Tenure
from tasks.celery import app
from tasks.delete_members import delete_files
from tasks.plan_members import plan_some
from tasks.register_members import register_some
from tasks.retry_members import retry_files
from tasks.runtime import Runtime, worker

MEMBERS_A_WRITE = 2000  # so many records are moved in well under a second
LOOK_SECONDS = 60.0  # how often a running batch looks whether it is over, if no lane lets it look


@app.task(name=TaskName.RUN_BATCH)
def run_batch(batch_id: str) -> None:
    """Run the journey `advance` for the batch id in the message."""
    worker.run(advance, batch_id)


async def advance(runtime: Runtime, batch_id: str) -> None:
    """Claim the batch and do what is due of its own record. Do nothing if the claim fails."""
    batch = await runtime.batches.records.claim_in_its_state(RecordId(batch_id), holder=runtime.holder)
    if batch is None:
        return
    attempts = replace(runtime.batches.attempts, waiting=batch.state, failed=batch.state)
    await attempts.run(batch, lambda tenure: _advance(runtime, batch, tenure), Meter(0, lambda _: {}))


async def _advance(runtime: Runtime, batch: Batch, tenure: Tenure) -> None:
    if batch.following is not None and not await _follow(runtime, batch, batch.following, tenure):
        return
    if batch.state is BatchState.PLANNING:
        await plan_some(runtime, batch, tenure)
    elif batch.state is BatchState.REGISTERING:
        await register_some(runtime, batch, tenure)
    elif batch.state is BatchState.RUNNING:
        await _end_if_over(runtime, batch)
    elif batch.state is BatchState.DELETING:
        if await delete_files(runtime, batch, tenure):
            if batch.list_id is not None:
                await runtime.batches.lists.release(batch.list_id, batch.id)
            await _finish(runtime, batch, BatchState.DELETED)
    else:
        await _finish(runtime, batch, batch.state)


async def _finish(runtime: Runtime, batch: Batch, state: BatchState) -> None:
    if batch.plan is not None:  # it may have been stopped while it was planned
        await runtime.batches.planned_names.forget(batch.id)
    counts = await _count(runtime, batch.id)
    await runtime.batches.records.finish(batch.lease, state, counts=counts, error=None, fruitless_attempts=0)


async def _follow(runtime: Runtime, batch: Batch, action: Action, tenure: Tenure) -> bool:
    """Let all members follow the operator's action. Return whether they have.

    A worker that has lost its lease may register or queue a few more members after a stop, so a stop is repeated a
    lease later, and until it finds nothing more to stop. Any action is repeated if a worker may still have let members
    follow the action before.
    """
    moved = await _move_all(runtime, batch, action, tenure)
    if action is Action.RETRY:
        moved += await retry_files(runtime, batch, tenure)
        # The batch may have been paused, then cancelled and retried before a worker let the members follow the cancel.
        moved += await _move_all(runtime, batch, Action.RESUME, tenure)
    again_in = batch.rival_seconds
    if action in (Action.CANCEL, Action.PAUSE):
        again_in = runtime.settings.lease_seconds if moved or not batch.followed else 0.0
    else:
        # First wake the lanes: if this worker dies before it clears `following`, another one wakes them again.
        await wake_lanes(runtime, batch)
    if again_in:
        followed = batch.followed + 1
        await runtime.batches.records.release(batch.lease, batch.state, delay_seconds=again_in, followed=followed)
        return False
    await runtime.batches.records.renew(batch.lease, following=None)
    return True


async def _move_all(runtime: Runtime, batch: Batch, action: Action, tenure: Tenure) -> int:
    total = 0
    while moved := await runtime.batches.members.follow(batch.id, action, who=None, limit=MEMBERS_A_WRITE):
        tenure.check()
        total += moved
    return total


async def wake_lanes(runtime: Runtime, batch: Batch, queues: Sequence[Queue] = (Queue.SMALL, Queue.LARGE)) -> None:
    for hint in await runtime.batches.lanes.wake(batch.id, batch.owner, queues):
        runtime.hints.offer(hint)


async def _end_if_over(runtime: Runtime, batch: Batch) -> None:
    records = runtime.batches.records
    if await runtime.batches.members.any_open(batch.id):
        await _wake_lanes_of_due(runtime, batch)
        await records.release(batch.lease, BatchState.RUNNING, delay_seconds=LOOK_SECONDS, **_after_look(batch))
        # The last member may have ended since the look. Its lane could not let the batch look: the batch was leased.
        if not await runtime.batches.members.any_open(batch.id):
            await look_soon(runtime, batch.id)
        return
    if batch.position is not None and batch.error is None:
        # The batch was cancelled before everything was registered, and only single members were retried since.
        await _finish(runtime, batch, BatchState.CANCELLED)
        return
    counts, summary = await _count(runtime, batch.id), await _summary(runtime, batch.id)
    await records.finish(batch.lease, BatchState.DONE, counts=counts, summary=summary, **_after_look(batch))


async def _wake_lanes_of_due(runtime: Runtime, batch: Batch) -> None:
    """Wake the lanes that have due members: whoever made a member due may have died before it woke the lane."""
    members = runtime.batches.members
    due = {queue: await members.due(batch.id, queue, limit=1) for queue in (Queue.SMALL, Queue.LARGE)}
    await wake_lanes(runtime, batch, [queue for queue, some in due.items() if some.deliveries or some.files])


def _after_look(batch: Batch) -> dict[str, Any]:
    """Return fields of a running batch after an attempt that succeeded: only why registering ended early stays."""
    ended_early = batch.position is not None
    return {"error": batch.error if ended_early else None, "fruitless_attempts": 0}


async def look_soon(runtime: Runtime, batch_id: RecordId) -> None:
    """Let a running batch see whether it is over."""
    if await runtime.batches.records.look_soon(batch_id):
        runtime.hints.offer(Hint(task=TaskName.RUN_BATCH, record_id=batch_id, queue=Queue.MAINTENANCE))


async def _count(runtime: Runtime, batch_id: RecordId) -> Counts:
    return await count_batch(runtime.batches.members, runtime.batches.skipped, batch_id)


async def _summary(runtime: Runtime, batch_id: RecordId) -> Summary:
    sums, files, length = SumsDigest(), 0, 0
    async for member in runtime.batches.members.stored(batch_id):
        sums.add(member.name, member.sha256)
        files += 1
        length += member.length
    return Summary(files=files, bytes=length, sha256sums=sums.hexdigest())
