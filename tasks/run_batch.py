"""The journey of a batch's own record: let the members follow an operator, register files, see whether it is over."""

from gridhaul.transfer.batch_counts import count_batch
from gridhaul.transfer.batches import GO_ON_WITH_MEMBER, Batch, BatchState, Counts, Summary
from gridhaul.transfer.manifests import SumsDigest
from gridhaul.transfer.model import RecordId, TaskName
from tasks.attempt import AFTER_PROGRESS, Meter, Tenure
from tasks.batches.deleting import delete_files
from tasks.batches.following import follow
from tasks.batches.planning import plan_some
from tasks.batches.registering import register_some
from tasks.batches.waking import hint_batch, look_soon, wake_lanes_of_due
from tasks.celery import app
from tasks.runtime import Runtime, worker

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
    meter = Meter(0, lambda _: {})
    await attempts.run(batch, lambda tenure: _advance(runtime, batch, tenure, meter), meter)


async def _advance(runtime: Runtime, batch: Batch, tenure: Tenure, meter: Meter) -> None:
    if batch.following is not None and not await follow(runtime, batch, batch.following, tenure):
        return
    if batch.state is BatchState.PLANNING:
        await plan_some(runtime, batch, tenure, meter)
    elif batch.state is BatchState.REGISTERING:
        await register_some(runtime, batch, tenure, meter)
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


async def _end_if_over(runtime: Runtime, batch: Batch) -> None:
    records = runtime.batches.records
    if await runtime.batches.members.any_open(batch.id):
        await wake_lanes_of_due(runtime, batch)
        looked = {"error": None, **AFTER_PROGRESS}
        await records.release(batch.lease, BatchState.RUNNING, delay_seconds=LOOK_SECONDS, **looked)
        # The last member may have ended since the look. Its lane could not let the batch look: the batch was leased.
        if not await runtime.batches.members.any_open(batch.id):
            await look_soon(runtime, batch.id)
        return
    if not batch.registered and batch.ended_early is None:
        # The batch was cancelled before everything was registered, and only single members were retried since.
        await _finish(runtime, batch, BatchState.CANCELLED)
    else:
        summary = await _summary(runtime, batch.id)
        await _finish(runtime, batch, BatchState.DONE, summary=summary)
    # A member may have been retried since the look. The batch could not go on then: it had not ended yet.
    if await runtime.batches.members.any_open(batch.id):
        await _go_on(runtime, batch)


async def _go_on(runtime: Runtime, batch: Batch) -> None:
    if await runtime.batches.records.move(batch.id, GO_ON_WITH_MEMBER) is not None:
        hint_batch(runtime, batch.id)


async def _count(runtime: Runtime, batch_id: RecordId) -> Counts:
    return await count_batch(runtime.batches.members, runtime.batches.skipped, batch_id)


async def _summary(runtime: Runtime, batch_id: RecordId) -> Summary:
    sums, files, length = SumsDigest(), 0, 0
    async for member in runtime.batches.members.stored(batch_id):
        sums.add(member.name, member.sha256)
        files += 1
        length += member.length
    return Summary(files=files, bytes=length, sha256sums=sums.hexdigest())
