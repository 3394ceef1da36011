"""The end of an attempt, whatever happens to its work, with the memory twin and a fast tick."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from gridhaul.transfer import retry
from gridhaul.transfer.errors import (
    ChunkServiceFailed,
    DatabaseUnavailable,
    LeaseLost,
    Patience,
    SourceChanged,
    TargetUnavailable,
)
from gridhaul.transfer.model import File, Lease
from gridhaul.transfer.retry import Limits
from gridhaul.transfer.states import FILE_MOVES, STORABLE, Action, FileState
from tasks import attempt
from tasks.attempt import Attempts, Meter, Tenure
from tests.contracts.memory_registry import MemoryFiles
from tests.contracts.ports import LONG_LEASE_SECONDS, eventually, new_file

Work = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "TICK_SECONDS", 0.002)
    monkeypatch.setattr(attempt, "PROGRESS_SECONDS", 0.005)
    monkeypatch.setattr(attempt, "LEASE_LOOK_SECONDS", 0.005)
    monkeypatch.setattr(attempt, "END_RETRY_SECONDS", 0.005)
    monkeypatch.setattr(retry, "BASE_SECONDS", 0.0)


@dataclass(kw_only=True)
class Bench:
    """One file, and the parameters of attempts at it."""

    files: MemoryFiles
    file: File
    stop: bool = False
    lease_seconds: float = LONG_LEASE_SECONDS
    renew_seconds: float = 0.005
    waiting_seconds: float = 0.0
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def claim(self) -> File:
        file = await self.files.claim(self.file.id, holder="worker", from_states=STORABLE, to_state=FileState.STORING)
        assert file is not None
        return file

    async def now(self) -> File:
        file = await self.files.get(self.file.id)
        assert file is not None
        return file

    async def run(self, file: File, work: Coroutine[Any, Any, None], meter: Meter | None = None) -> File:
        attempts = Attempts(
            records=self.files,
            waiting=FileState.REGISTERED,
            failed=FileState.FAILED,
            stopping=lambda: self.stop,
            renew_seconds=self.renew_seconds,
            lease_seconds=self.lease_seconds,
            limits=Limits(attempts=3, waiting_seconds=self.waiting_seconds),
        )
        await attempts.run(file, lambda _: work, meter or new_meter())
        work.close()  # the attempt may not have started the work
        return await self.now()

    async def endless(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def bench(files: MemoryFiles | None = None, **values: Any) -> Bench:
    files = files or MemoryFiles(lease_seconds=LONG_LEASE_SECONDS)
    file, _ = await files.register(new_file(length=100))
    return Bench(files=files, file=file, **values)


def new_meter(furthest_before: int = 0) -> Meter:
    return Meter(furthest_before, lambda meter: {"stored_bytes": meter.furthest})


async def fail(error: Exception) -> None:
    raise error


async def test_work_that_succeeds_has_finished_the_record_itself() -> None:
    one = await bench()
    file = await one.claim()
    done = await one.run(file, one.files.finish(file.lease, FileState.STORED, stored_bytes=100))
    assert (done.state, done.stored_bytes, done.error) == (FileState.STORED, 100, None)


async def test_retryable_error_gives_the_record_back_for_later() -> None:
    one = await bench()
    file = await one.claim()
    after = await one.run(file, fail(TargetUnavailable("It does not answer.", retry_after_seconds=60)))
    assert (after.state, after.fruitless_attempts) == (FileState.REGISTERED, 0)
    assert after.error is not None
    assert (after.error.code, after.error.detail) == ("target_unavailable", "It does not answer.")
    again = await one.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert again is None


async def test_permanent_error_fails_the_record() -> None:
    one = await bench()
    after = await one.run(await one.claim(), fail(SourceChanged("It changed.")))
    assert after.state is FileState.FAILED
    assert after.error is not None
    assert after.error.code == "source_changed"


async def test_record_fails_when_its_attempts_are_used_up() -> None:
    one = await bench()
    states = [(await one.run(await one.claim(), fail(TargetUnavailable("no")))).state for _ in range(3)]
    assert states == [FileState.REGISTERED, FileState.REGISTERED, FileState.FAILED]


async def test_waiting_for_something_outside_never_uses_up_attempts() -> None:
    one = await bench()
    for _ in range(10):
        after = await one.run(await one.claim(), fail(DatabaseUnavailable("no")))
        assert (after.state, after.fruitless_attempts) == (FileState.REGISTERED, 0)


async def test_record_that_waits_is_neither_failed_nor_taken_for_one_whose_worker_is_lost_again_and_again() -> None:
    one = await bench(waiting_seconds=3600)
    for attempts in range(1, 11):
        after = await one.run(await one.claim(), fail(TargetUnavailable("no")))
        assert after.wait is not None
        assert (after.state, after.fruitless_attempts, after.wait.attempts) == (FileState.REGISTERED, 0, attempts)
        assert after.wait.since <= after.updated_at


async def test_record_fails_once_it_has_waited_long_enough() -> None:
    one = await bench(waiting_seconds=3600)
    for _ in range(3):
        await one.run(await one.claim(), fail(TargetUnavailable("no")))
    file = await one.claim()
    assert file.wait is not None
    an_hour_ago = replace(file.wait, since=file.wait.since - timedelta(hours=1))
    after = await one.run(replace(file, wait=an_hour_ago), fail(TargetUnavailable("no")))
    assert (after.state, after.wait) == (FileState.FAILED, None)


async def test_progress_ends_the_wait_while_the_attempt_still_runs() -> None:
    one = await bench(waiting_seconds=3600)
    await one.run(await one.claim(), fail(TargetUnavailable("no")))
    meter = new_meter()
    running = asyncio.create_task(one.run(await one.claim(), one.endless(), meter))
    meter.add(10)

    async def waits_no_more() -> bool:
        return (await one.now()).wait is None

    await eventually(waits_no_more)
    one.stop = True
    await running


async def test_wait_begins_anew_after_progress() -> None:
    one = await bench(waiting_seconds=3600)
    before = (await one.run(await one.claim(), fail(TargetUnavailable("no")))).wait
    meter = new_meter()
    meter.add(10)
    after = (await one.run(await one.claim(), fail(TargetUnavailable("no")), meter)).wait
    assert before is not None
    assert after is not None
    assert (after.attempts, after.since > before.since) == (1, True)


async def test_time_without_end_does_not_count_as_hours() -> None:
    one = await bench(waiting_seconds=3600)
    for _ in range(5):
        await one.run(await one.claim(), fail(DatabaseUnavailable("no")))
    file = await one.claim()
    assert file.wait is not None
    a_day_ago = replace(file.wait, since=file.wait.since - timedelta(days=1))
    after = await one.run(replace(file, wait=a_day_ago), fail(TargetUnavailable("no")))
    assert (after.state, after.wait and after.wait.attempts) == (FileState.REGISTERED, 1)


async def test_error_of_another_kind_ends_the_wait() -> None:
    one = await bench(waiting_seconds=3600)
    await one.run(await one.claim(), fail(TargetUnavailable("no")))
    after = await one.run(await one.claim(), fail(ChunkServiceFailed("no")))
    assert (after.state, after.wait, after.fruitless_attempts) == (FileState.REGISTERED, None, 1)


async def test_request_to_stop_leaves_the_wait_as_it_is() -> None:
    one = await bench(waiting_seconds=3600)
    before = await one.run(await one.claim(), fail(TargetUnavailable("no")))
    one.stop = True
    after = await one.run(await one.claim(), one.endless())
    assert (after.wait, after.fruitless_attempts) == (before.wait, 0)


async def test_unexpected_exception_is_tried_again_and_not_told() -> None:
    one = await bench()
    after = await one.run(await one.claim(), fail(ZeroDivisionError("a secret")))
    assert after.state is FileState.REGISTERED
    assert after.error is not None
    assert after.error.code == "internal"
    assert "secret" not in after.error.detail


async def test_record_whose_worker_was_lost_too_often_fails_without_work() -> None:
    one = await bench()
    file = replace(await one.claim(), fruitless_attempts=4)
    after = await one.run(file, fail(AssertionError("the work was started")))
    assert after.state is FileState.FAILED
    assert after.error is not None
    assert after.error.code == "worker_lost"


async def test_record_taken_by_another_cancels_the_work_and_is_left_alone() -> None:
    one = await bench(MemoryFiles(lease_seconds=0.0))
    running = asyncio.create_task(one.run(await one.claim(), one.endless()))
    others = await one.claim()
    async with asyncio.timeout(10):
        assert await running == others
    assert one.cancelled.is_set()


@pytest.mark.parametrize("action", [Action.PAUSE, Action.CANCEL])
async def test_operator_is_heard_long_before_the_lease_is_to_be_renewed(action: Action) -> None:
    one = await bench(renew_seconds=60)
    running = asyncio.create_task(one.run(await one.claim(), one.endless()))
    moved = await one.files.move(one.file.id, FILE_MOVES[action])
    async with asyncio.timeout(10):
        assert await running == moved
    assert one.cancelled.is_set()


async def test_work_that_learns_of_a_lost_lease_writes_nothing() -> None:
    one = await bench()
    file = await one.claim()
    assert await one.run(file, fail(LeaseLost("the chunk service reports it"))) == file


@pytest.mark.parametrize("error", [SourceChanged("no"), TargetUnavailable("no"), ZeroDivisionError()])
async def test_error_after_the_lease_was_lost_is_not_written(error: Exception) -> None:
    one = await bench(MemoryFiles(lease_seconds=0.0), renew_seconds=60)
    stale = await one.claim()
    others = await one.claim()
    assert await one.run(stale, fail(error)) == others


async def test_request_to_stop_gives_the_record_back_at_once_without_counting() -> None:
    one = await bench(stop=True)
    after = await one.run(await one.claim(), one.endless())
    assert one.cancelled.is_set()
    assert (after.state, after.fruitless_attempts, after.error) == (FileState.REGISTERED, 0, None)
    assert (await one.claim()).fence == 2


async def test_request_to_stop_waits_for_the_work_to_clean_up() -> None:
    one = await bench(stop=True)
    cleaned: list[FileState] = []

    async def work() -> None:
        try:
            await one.endless()
        finally:
            await asyncio.sleep(0)
            cleaned.append((await one.now()).state)

    await one.run(await one.claim(), work())
    assert cleaned == [FileState.STORING]


async def test_progress_makes_an_attempt_a_fruitful_one() -> None:
    one = await bench()
    for _ in range(2):
        await one.run(await one.claim(), fail(ChunkServiceFailed("no")))
    meter = new_meter()
    meter.add(10)
    after = await one.run(await one.claim(), fail(ChunkServiceFailed("no")), meter)
    assert (after.state, after.fruitless_attempts, after.stored_bytes) == (FileState.REGISTERED, 0, 10)
    assert after.attempts == 3


async def test_only_what_goes_further_than_before_is_progress() -> None:
    one = await bench()
    meter = new_meter(furthest_before=50)
    meter.skip(30)
    meter.add(20)
    after = await one.run(await one.claim(), fail(TargetUnavailable("no")), meter)
    assert after.wait is not None
    assert (after.wait.attempts, after.stored_bytes) == (1, 50)


async def test_progress_is_shown_while_the_work_runs() -> None:
    one = await bench()
    meter = new_meter()
    running = asyncio.create_task(one.run(await one.claim(), one.endless(), meter))
    for _ in range(3):
        meter.add(10)
        shown = meter.position

        async def is_shown(wanted: int = shown) -> bool:
            return (await one.now()).stored_bytes == wanted

        await eventually(is_shown)
    assert ((await one.now()).rate or 0) > 0
    one.stop = True
    assert (await running).rate is not None


class _Unreachable(MemoryFiles):
    """A database that does not answer after the file was claimed."""

    async def renew(self, lease: Lease, **changes: object) -> None:
        raise DatabaseUnavailable("no")

    async def wait(
        self, lease: Lease, to_state: FileState, *, patience: Patience, delay_seconds: float, **changes: object
    ) -> None:
        raise DatabaseUnavailable("no")


async def test_work_goes_on_while_the_database_is_unreachable_for_less_than_the_lease() -> None:
    one = await bench(_Unreachable(lease_seconds=LONG_LEASE_SECONDS))
    file = await one.claim()

    async def work() -> None:
        await asyncio.sleep(0.05)
        await one.files.finish(file.lease, FileState.STORED)

    assert (await one.run(file, work())).state is FileState.STORED


async def test_work_ends_when_the_database_is_unreachable_for_as_long_as_the_lease() -> None:
    one = await bench(_Unreachable(lease_seconds=LONG_LEASE_SECONDS), lease_seconds=0.03)
    file = await one.claim()
    assert await one.run(file, one.endless()) == file
    assert one.cancelled.is_set()


async def test_end_that_can_not_be_written_is_left_to_the_lease() -> None:
    one = await bench(_Unreachable(lease_seconds=LONG_LEASE_SECONDS), lease_seconds=0.05)
    file = await one.claim()
    assert await one.run(file, fail(TargetUnavailable("no"))) == file


class _AwayForAWhile(MemoryFiles):
    """A database that does not answer the first `refusals` writes of an attempt's end."""

    refusals = 3

    async def release(self, lease: Lease, to_state: FileState, *, delay_seconds: float, **changes: object) -> None:
        self.refusals -= 1
        if self.refusals >= 0:
            raise DatabaseUnavailable("no")
        await super().release(lease, to_state, delay_seconds=delay_seconds, **changes)


async def test_outage_shorter_than_the_lease_uses_up_no_attempt() -> None:
    one = await bench(_AwayForAWhile(lease_seconds=LONG_LEASE_SECONDS))
    after = await one.run(await one.claim(), fail(DatabaseUnavailable("no")))
    assert (after.state, after.fruitless_attempts) == (FileState.REGISTERED, 0)


def test_tenure_ends_when_it_was_not_renewed_in_time() -> None:
    Tenure(60).check()
    with pytest.raises(LeaseLost):
        Tenure(0).check()


def test_meter_knows_no_rate_before_the_first_byte() -> None:
    meter = new_meter()
    meter.skip(7)
    assert (meter.rate, meter.position, meter.furthest) == (None, 7, 7)
    assert meter.changes() == {"stored_bytes": 7, "rate": None, **attempt.AFTER_PROGRESS}
