"""Whatever meets a batch, it comes to an end: attempts in vain are bounded, and late requests leave nothing open."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gridhaul.transfer.batches import BATCH_MOVES, CANCEL_AND_DELETE_BATCH, DELETE_BATCH, Batch, BatchState
from gridhaul.transfer.errors import PathNotAllowed, SourceReadFailed
from gridhaul.transfer.model import (
    NewDelivery,
    NewFile,
    Queue,
    RecordId,
)
from gridhaul.transfer.origins import ServerPath, SourceIdentity
from gridhaul.transfer.states import Action, DeliveryState, FileState, Move
from tasks import run_batch
from tasks.attempt import Meter, Tenure
from tasks.batches.registering import register_some
from tasks.runtime import Runtime
from tests.contracts.memory_registry import wall_clock
from tests.contracts.ports import destination
from tests.faults.every_call import run_twins
from tests.faults.failing import Faults
from tests.faults.twin_system import LEASE_SECONDS, MAX_ATTEMPTS, OWNER, TARGET, Case, TwinSystem

CASE = Case(data=b"")
FOLDER, PREFIX = "run", "2026"
FILES = {"a": b"one", "b": b"another"}

Finds = Callable[[Runtime, Batch, Tenure, Meter], Awaitable[None]]


async def _now(system: TwinSystem, batch_id: RecordId) -> Batch:
    batch = await system.batches.get(batch_id)
    assert batch is not None
    return batch


async def _done(system: TwinSystem) -> RecordId:
    """Return a batch that is DONE."""
    await system.see_target()
    batch_id = await system.prepare_batch(FOLDER, FILES, prefix=PREFIX)
    await system.rest()
    assert (await _now(system, batch_id)).state is BatchState.DONE
    return batch_id


def _runs(system: TwinSystem, ends: Exception | None) -> Finds:
    """Return a way to find files that ends with the error; None: its worker dies every time."""
    runs = iter(range(2 * MAX_ATTEMPTS))

    async def find(runtime: Runtime, batch: Batch, tenure: Tenure, meter: Meter) -> None:
        next(runs)  # fails if there are too many runs
        if ends is not None:
            raise ends
        system.life.dead.set()
        await asyncio.Event().wait()

    return find


@pytest.mark.parametrize(
    ("ends", "code"),
    [(PathNotAllowed("Not any more."), "path_not_allowed"), (ValueError(), "internal"), (None, "worker_lost")],
)
def test_batch_that_can_not_be_registered_ends_early_and_says_why(
    monkeypatch: pytest.MonkeyPatch, ends: Exception | None, code: str
) -> None:
    async def story(system: TwinSystem) -> None:
        monkeypatch.setattr(run_batch, "register_some", _runs(system, ends))
        batch_id = await system.prepare_batch(FOLDER, FILES, prefix=PREFIX)
        await system.rest()
        batch = await _now(system, batch_id)
        assert batch.ended_early is not None
        assert (batch.state, batch.ended_early.code, batch.error) == (BatchState.DONE, code, None)
        assert batch.position is not None

    run_twins(CASE, Faults({}), story)


@pytest.mark.parametrize(("ends", "code"), [(PathNotAllowed("Not now."), "path_not_allowed"), (None, "worker_lost")])
def test_batch_that_can_not_be_planned_is_planned_with_the_error(
    monkeypatch: pytest.MonkeyPatch, ends: Exception | None, code: str
) -> None:
    async def story(system: TwinSystem) -> None:
        monkeypatch.setattr(run_batch, "plan_some", _runs(system, ends))
        batch_id = await system.prepare_batch(FOLDER, FILES, prefix=PREFIX, dry_run=True)
        await system.rest()
        batch = await _now(system, batch_id)
        assert batch.error is not None
        assert (batch.state, batch.error.code, batch.ended_early) == (BatchState.PLANNED, code, None)

    run_twins(CASE, Faults({}), story)


def _finds_after(in_vain: Finds) -> Finds:
    """Return a way to find files that succeeds after more runs of `in_vain` than attempts in vain are allowed."""
    runs = iter(range(2 * MAX_ATTEMPTS))

    async def find(runtime: Runtime, batch: Batch, tenure: Tenure, meter: Meter) -> None:
        await (register_some if next(runs, None) is None else in_vain)(runtime, batch, tenure, meter)

    return find


def test_batch_whose_worker_dies_again_and_again_goes_on_while_it_makes_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(system: TwinSystem) -> None:
        async def dies(runtime: Runtime, batch: Batch, *_: object) -> None:
            await runtime.batches.records.renew(batch.lease, position=batch.position, fruitless_attempts=0)
            system.life.dead.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(run_batch, "register_some", _finds_after(dies))
        assert (await _now(system, await _done(system))).ended_early is None

    run_twins(CASE, Faults({}), story)


def test_batch_whose_attempts_fail_again_and_again_goes_on_while_each_makes_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(runtime: Runtime, batch: Batch, tenure: Tenure, meter: Meter) -> None:
        meter.step()
        raise SourceReadFailed("The source cannot be read.")

    async def story(system: TwinSystem) -> None:
        monkeypatch.setattr(run_batch, "register_some", _finds_after(fails))
        assert (await _now(system, await _done(system))).ended_early is None

    run_twins(CASE, Faults({}), story)


def test_running_batch_is_looked_at_again_after_an_error_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    summary, errors = run_batch._summary, iter([PathNotAllowed("No.")] * 3)

    async def fails_first(runtime: Runtime, batch_id: RecordId) -> object:
        if error := next(errors, None):
            raise error
        return await summary(runtime, batch_id)

    async def story(system: TwinSystem) -> None:
        monkeypatch.setattr(run_batch, "_summary", fails_first)
        batch = await _now(system, await _done(system))
        assert (batch.error, batch.ended_early) == (None, None)

    run_twins(CASE, Faults({}), story)


def test_retry_that_is_repeated_does_not_send_again_what_failed_since() -> None:
    """A retry is repeated if a worker may still have let members follow a cancel. Only what it cancelled is undone."""

    async def story(system: TwinSystem) -> None:
        batch_id = await _done(system)
        failed, cancelled = list(system.deliveries.rows.values())
        for row, state in ((failed, DeliveryState.FAILED), (cancelled, DeliveryState.CANCELLED)):
            row.record = replace(row.record, state=state)
        rival_until = wall_clock() + timedelta(seconds=LEASE_SECONDS)
        changes: dict[str, Any] = {"following": Action.RETRY, "followed": 1, "rival_until": rival_until}
        assert await system.batches.move(batch_id, BATCH_MOVES[Action.RETRY], **changes) is not None
        await system.rest()
        assert (await _now(system, batch_id)).state is BatchState.DONE
        states = [row.record.state for row in (failed, cancelled)]
        assert states == [DeliveryState.FAILED, DeliveryState.DELIVERED]

    run_twins(CASE, Faults({}), story)


async def _late_delivery(system: TwinSystem, batch_id: RecordId) -> None:
    """Queue a delivery of a member, as a request that met the delete."""
    file = next(iter(system.files.rows.values())).record
    assert file.sha256 is not None
    new = NewDelivery(
        file_id=file.id,
        owner=OWNER,
        destination=destination(TARGET, object_name="late"),
        length=file.length,
        sha256=file.sha256,
        queue=file.queue,
        batch_id=batch_id,
    )
    await system.deliveries.open(new)


async def _late_file(system: TwinSystem, batch_id: RecordId) -> None:
    """Register a member, as a worker that has lost the batch."""
    identity = SourceIdentity(size=1, mtime_ns=1, inode="1", device="1", ctime_ns=1)
    new = NewFile(
        owner=OWNER,
        name="late",
        content_type="text/plain",
        length=1,
        origin=ServerPath(path="/srv/late", identity=identity),
        queue=Queue.SMALL,
        batch_id=batch_id,
    )
    await system.usage.charge(OWNER, new.length)
    await system.files.register(new)


@pytest.mark.parametrize("late", [_late_delivery, _late_file])
@pytest.mark.parametrize(("move", "following"), [(DELETE_BATCH, None), (CANCEL_AND_DELETE_BATCH, Action.CANCEL)])
def test_batch_is_deleted_although_a_late_request_opens_a_member(
    late: Callable[[TwinSystem, RecordId], Awaitable[None]], move: Move[BatchState], following: Action | None
) -> None:
    async def story(system: TwinSystem) -> None:
        batch_id = await _done(system)
        assert await system.batches.move(batch_id, move, following=following, followed=0) is not None
        await late(system, batch_id)
        await _require_deleted(system, batch_id)

    run_twins(CASE, Faults({}), story)


def test_batch_is_deleted_although_a_member_is_registered_while_it_is_swept() -> None:
    async def story(system: TwinSystem) -> None:
        batch_id = await _done(system)
        assert await system.batches.move(batch_id, DELETE_BATCH) is not None
        while (await _now(system, batch_id)).swept is None:
            await system.go_on()
        await _late_file(system, batch_id)
        await _require_deleted(system, batch_id)

    run_twins(CASE, Faults({}), story)


async def _require_deleted(system: TwinSystem, batch_id: RecordId) -> None:
    """Require that the batch and all that it has come to rest, and that nothing stays stored."""
    await system.rest()
    batch = await _now(system, batch_id)
    assert (batch.state, batch.following, batch.error) == (BatchState.DELETED, None, None)
    assert {row.record.state for row in system.files.rows.values()} == {FileState.DELETED}
    ended = {row.record.state for row in system.deliveries.rows.values()}
    assert ended <= {DeliveryState.DELIVERED, DeliveryState.CANCELLED}
    assert not system.contents.rows
    assert system.account.used_bytes == 0
