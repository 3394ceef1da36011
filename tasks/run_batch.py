"""The journey of a batch's own record: let the members follow an operator, register files, see whether it is over."""

from collections.abc import Sequence

from gridhaul.transfer.batch_counts import count_batch
from gridhaul.transfer.batches import GO_ON_WITH_MEMBER, Batch, BatchState, Counts, Summary
from gridhaul.transfer.manifests import SumsDigest
from gridhaul.transfer.model import Hint, Queue, RecordId, TaskName
from gridhaul.transfer.states import FILE_MOVES, Action, FileState
from tasks.attempt import Meter, Tenure
from tasks.batches.deleting import delete_files
from tasks.batches.planning import plan_some
from tasks.batches.registering import register_some
from tasks.batches.retrying import retry_files
from tasks.celery import app
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
    attempts = runtime.batches.attempts.of(batch)
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
        await _delete(runtime, batch, tenure)
    else:
        await _finish(runtime, batch, batch.state)


async def _delete(runtime: Runtime, batch: Batch, tenure: Tenure) -> None:
    if not await delete_files(runtime, batch, tenure):
        return
    if batch.list_id is not None:
        await runtime.batches.lists.release(batch.list_id, batch.id)
    await _finish(runtime, batch, BatchState.DELETED)


async def _finish(runtime: Runtime, batch: Batch, state: BatchState, **changes: object) -> None:
    if batch.plan is not None:  # it may have been stopped while it was planned
        await runtime.batches.planned_names.forget(batch.id)
    counts = await _count(runtime, batch.id)
    ended = {"counts": counts, "error": None, "fruitless_attempts": 0, **changes}
    await runtime.batches.records.finish(batch.lease, state, **ended)


async def _follow(runtime: Runtime, batch: Batch, action: Action, tenure: Tenure) -> bool:
    """Let all members follow the operator's action. Return whether they have.

    A worker that has lost its lease may register or queue a few more members after a stop, so a stop is repeated a
    lease later, and until it finds nothing more to stop. A delivery that is COMMITTING cannot be stopped, and becomes
    QUEUED again if it fails, so a stop is also repeated until no delivery is left that a worker may claim. Any action
    is repeated if a worker may still have let members follow the action before.
    """
    again_in = batch.rival_seconds
    if action in (Action.CANCEL, Action.PAUSE):
        moved = await _move_all(runtime, batch, action, tenure)
        committing = await runtime.batches.members.any_deliverable(batch.id)
        if committing:
            await wake_lanes(runtime, batch)
        again_in = runtime.settings.lease_seconds if moved or committing or not batch.followed else 0.0
    else:
        await (_retry(runtime, batch, tenure) if action is Action.RETRY else _move_all(runtime, batch, action, tenure))
        # First wake the lanes: if this worker dies before it clears `following`, another one wakes them again.
        await wake_lanes(runtime, batch)
    if again_in:
        changes = {"followed": batch.followed + 1, "fruitless_attempts": 0}
        await runtime.batches.records.release(batch.lease, batch.state, delay_seconds=again_in, **changes)
        return False
    await runtime.batches.records.renew(batch.lease, following=None)
    return True


async def _retry(runtime: Runtime, batch: Batch, tenure: Tenure) -> None:
    """Queue again what failed or was cancelled. A repeat only queues what a worker with an earlier action cancelled.

    So the repeat leaves what failed since the retry as it is.
    """
    if batch.followed:
        while await runtime.batches.members.retry_cancelled(batch.id, limit=MEMBERS_A_WRITE):
            tenure.check()
        await retry_files(runtime, batch, tenure, states=frozenset({FileState.CANCELLED}))
    else:
        await _move_all(runtime, batch, Action.RETRY, tenure)
        await retry_files(runtime, batch, tenure, states=FILE_MOVES[Action.RETRY].from_states)
    # The batch may have been paused, then cancelled and retried before a worker let the members follow the cancel.
    await _move_all(runtime, batch, Action.RESUME, tenure)


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
        looked = {"error": None, "fruitless_attempts": 0}
        await records.release(batch.lease, BatchState.RUNNING, delay_seconds=LOOK_SECONDS, **looked)
        # The last member may have ended since the look. Its lane could not let the batch look: the batch was leased.
        if not await runtime.batches.members.any_open(batch.id):
            await look_soon(runtime, batch.id)
        return
    if batch.position is not None and batch.ended_early is None:
        # The batch was cancelled before everything was registered, and only single members were retried since.
        await _finish(runtime, batch, BatchState.CANCELLED)
    else:
        summary = await _summary(runtime, batch.id)
        await _finish(runtime, batch, BatchState.DONE, summary=summary)
    # A member may have been retried since the look. The batch could not go on then: it had not ended yet.
    if await runtime.batches.members.any_open(batch.id):
        await _go_on(runtime, batch)


async def _wake_lanes_of_due(runtime: Runtime, batch: Batch) -> None:
    """Wake the lanes that have due members: whoever made a member due may have died before it woke the lane."""
    members = runtime.batches.members
    due = {queue: await members.due(batch.id, queue, limit=1) for queue in (Queue.SMALL, Queue.LARGE)}
    await wake_lanes(runtime, batch, [queue for queue, some in due.items() if some.deliveries or some.files])


async def _go_on(runtime: Runtime, batch: Batch) -> None:
    if await runtime.batches.records.move(batch.id, GO_ON_WITH_MEMBER) is not None:
        _hint(runtime, batch.id)


async def look_soon(runtime: Runtime, batch_id: RecordId) -> None:
    """Let a running batch see whether it is over."""
    if await runtime.batches.records.look_soon(batch_id):
        _hint(runtime, batch_id)


def _hint(runtime: Runtime, batch_id: RecordId) -> None:
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
