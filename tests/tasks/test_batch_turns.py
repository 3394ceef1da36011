"""Turns of a batch: a worker takes several members at a time, and a batch that is over ends soon."""

from dataclasses import replace
from pathlib import Path

from gridhaul.transfer.batches import BatchState, Choice, NewBatch
from gridhaul.transfer.model import Queue, RecordId, TaskName
from gridhaul.transfer.origins import IfChanged
from gridhaul.transfer.retry import Limits
from gridhaul.transfer.states import STORABLE, FileState
from tasks.batches.attempts import BatchAttempts
from tasks.run_batch import advance
from tasks.runtime import Batches, Runtime
from tasks.take_due import take_some
from tests.contracts.memory_batches import MemoryBatches, MemoryLanes, MemoryMembers, MemorySkippedPaths
from tests.tasks.bundle_bench import LEASE_SECONDS, Bench
from tests.unused import UNUSED

OWNER = "operator"


class EndsDuringTheLook(MemoryMembers):
    """Members of which the last one ends right after the first look."""

    looks = 0

    async def any_open(self, batch_id: RecordId) -> bool:
        self.looks += 1
        return self.looks == 1


class RetriedDuringTheCount(MemoryMembers):
    """Members of which one is retried after the first look, while the batch counts them, and ends soon."""

    looks = 0

    async def any_open(self, batch_id: RecordId) -> bool:
        self.looks += 1
        return self.looks == 2  # the look after the end


def runtime_of(bench: Bench, members: MemoryMembers) -> Runtime:
    records = MemoryBatches(lease_seconds=LEASE_SECONDS)
    attempts = BatchAttempts(
        records=records,
        waiting=BatchState.RUNNING,
        failed=BatchState.RUNNING,
        finding=Limits(attempts=3, waiting_seconds=0),
        limits=Limits(attempts=3, waiting_seconds=0),
        stopping=lambda: bench.stop,
        renew_seconds=10,
        lease_seconds=LEASE_SECONDS,
    )
    batches = Batches(
        records=records,
        lanes=MemoryLanes(),
        members=members,
        deletion=UNUSED,
        planned_names=UNUSED,
        former=UNUSED,
        skipped=MemorySkippedPaths(),
        lists=UNUSED,
        attempts=attempts,
    )
    return replace(bench.runtime(), batches=batches)


async def running_batch(runtime: Runtime) -> RecordId:
    """Return a batch whose files are all registered."""
    new = NewBatch(
        owner=OWNER,
        sources=("/srv/tree",),
        root_of=("/srv",),
        base=None,
        choice=Choice(),
        deliver_to=(),
        if_changed=IfChanged.FAIL,
    )
    records = runtime.batches.records
    assert isinstance(records, MemoryBatches)
    batch, _ = await records.register(new)
    registering = await records.claim_in_its_state(batch.id, holder="worker")
    assert registering is not None
    await records.release(registering.lease, BatchState.RUNNING, delay_seconds=0, position=None)
    return batch.id


async def test_batch_whose_last_member_ends_during_the_look_looks_again_at_once(tmp_path: Path) -> None:
    bench = Bench(root=tmp_path)
    runtime = runtime_of(bench, EndsDuringTheLook(bench.files, bench.deliveries))
    batch_id = await running_batch(runtime)
    await advance(runtime, batch_id)
    assert [(hint.task, hint.record_id) for hint in bench.hints] == [(TaskName.RUN_BATCH, batch_id)]
    await advance(runtime, batch_id)
    batch = await runtime.batches.records.get(batch_id)
    assert batch is not None
    assert batch.state is BatchState.DONE


async def test_batch_goes_on_if_a_member_was_retried_between_its_look_and_its_end(tmp_path: Path) -> None:
    bench = Bench(root=tmp_path)
    runtime = runtime_of(bench, RetriedDuringTheCount(bench.files, bench.deliveries))
    batch_id = await running_batch(runtime)
    await advance(runtime, batch_id)
    batch = await runtime.batches.records.get(batch_id)
    assert batch is not None
    assert (batch.state, batch.ended_at) == (BatchState.RUNNING, None)
    assert [(hint.task, hint.record_id) for hint in bench.hints] == [(TaskName.RUN_BATCH, batch_id)]
    await advance(runtime, batch_id)
    batch = await runtime.batches.records.get(batch_id)
    assert batch is not None
    assert batch.state is BatchState.DONE


async def test_file_that_goes_alone_has_its_turn_before_newer_files_that_go_together(tmp_path: Path) -> None:
    bench = Bench(root=tmp_path)
    runtime = runtime_of(bench, MemoryMembers(bench.files, bench.deliveries))
    batch_id = await running_batch(runtime)
    before = await bench.register(0, b"before", batch_id=batch_id)
    claimed = await bench.files.claim(before, holder="killed", from_states=STORABLE, to_state=FileState.STORING)
    assert claimed is not None
    await bench.files.release(claimed.lease, FileState.REGISTERED, delay_seconds=-1)
    new = [await bench.register(n, b"new", batch_id=batch_id) for n in range(1, 5)]
    (hint,) = await runtime.batches.lanes.wake(batch_id, OWNER, [Queue.SMALL])
    await take_some(runtime, hint.record_id)
    assert bench.files.rows[before].record.state is FileState.STORED
    assert {bench.files.rows[file_id].record.state for file_id in new} == {FileState.REGISTERED}
    await take_some(runtime, bench.hints[0].record_id)
    assert {bench.files.rows[file_id].record.state for file_id in new} == {FileState.STORED}


async def test_files_that_were_claimed_before_do_not_leave_new_files_bundles_of_one(tmp_path: Path) -> None:
    bench = Bench(root=tmp_path)
    runtime = runtime_of(bench, MemoryMembers(bench.files, bench.deliveries))
    batch_id = await running_batch(runtime)
    before = [await bench.register(n, b"%d" % n, batch_id=batch_id) for n in range(5)]
    for file_id in before:
        claimed = await bench.files.claim(file_id, holder="killed", from_states=STORABLE, to_state=FileState.STORING)
        assert claimed is not None
        await bench.files.release(claimed.lease, FileState.REGISTERED, delay_seconds=0)
    new = await bench.register(5, b"new", batch_id=batch_id)
    (hint,) = await runtime.batches.lanes.wake(batch_id, OWNER, [Queue.SMALL])
    await take_some(runtime, hint.record_id)
    assert {bench.files.rows[file_id].record.state for file_id in before} == {FileState.STORED}
    assert bench.files.rows[new].record.state is FileState.REGISTERED
    assert [hint.task for hint in bench.hints].count(TaskName.TAKE_DUE) == 1
