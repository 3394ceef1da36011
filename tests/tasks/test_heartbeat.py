"""The heartbeat of a worker process: when it is written, and what it reports."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from gridhaul.chunk_service_client.chunk_client import CHECK_SECONDS
from gridhaul.transfer.errors import ChunkServiceUnavailable, DatabaseUnavailable, GridhaulError, StorageFull
from gridhaul.transfer.model import Queue
from gridhaul.transfer.worker_health import SILENT_SECONDS
from tasks import heartbeat
from tasks.heartbeat import LASTING_SECONDS, RECHECK_SECONDS, Heartbeat
from tasks.presence import Presence
from tests.contracts.memory_heartbeats import MemoryHeartbeatLookup, MemoryHeartbeats
from tests.contracts.ports import eventually
from tests.faults import virtual_time

QUEUES = frozenset({Queue.LARGE})


@dataclass(kw_only=True)
class Worker:
    """A worker process with a memory twin of the database, and a chunk service that a test can break."""

    presence: Presence = field(default_factory=Presence)
    lookup: MemoryHeartbeatLookup = field(default_factory=MemoryHeartbeatLookup)
    chunk_service_error: Exception | None = None
    chunk_service_checks: int = 0
    presence_checks: int = 0
    passed_over: int = 0

    def takes_messages(self) -> bool:
        self.presence_checks += 1
        return self.presence.takes_messages()

    async def check(self) -> None:
        self.chunk_service_checks += 1
        if self.chunk_service_error is not None:
            raise self.chunk_service_error

    async def reported(self) -> list[str | None]:
        return [group.storing_error for group in await self.lookup.groups() if group.queues == QUEUES]


class UnavailableAtFirst(MemoryHeartbeats):
    """A database that refuses the first two heartbeats."""

    failures = 2

    async def beat(self, queues: frozenset[Queue], storing_error: str | None, *, passed_over: int) -> None:
        if self.failures:
            self.failures -= 1
            raise DatabaseUnavailable("The database does not answer.")
        await super().beat(queues, storing_error, passed_over=passed_over)


class SlowChunkService:
    """A chunk service that answers the worker's third check as late as the worker waits."""

    checks = 0

    async def check(self) -> None:
        self.checks += 1
        if self.checks == 3:
            await asyncio.sleep(CHECK_SECONDS)


class LosingOne:
    """A database that notes when it wrote a heartbeat, and never answers the second one."""

    def __init__(self) -> None:
        self.asked_at: list[float] = []
        self.written_at: list[float] = []

    async def beat(self, queues: frozenset[Queue], storing_error: str | None, *, passed_over: int) -> None:
        self.asked_at.append(asyncio.get_running_loop().time())
        if len(self.asked_at) == 2:
            await asyncio.sleep(3600)
        self.written_at.append(self.asked_at[-1])


@asynccontextmanager
async def beating(worker: Worker, heartbeats: MemoryHeartbeats | None = None) -> AsyncIterator[None]:
    loop = Heartbeat(
        heartbeats or MemoryHeartbeats(worker.lookup, worker="worker"),
        worker,
        queues=QUEUES,
        takes_messages=worker.takes_messages,
        passed_over=lambda: worker.passed_over,
    )
    task = asyncio.create_task(loop.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _reported(worker: Worker, code: str) -> bool:
    return await worker.reported() == [code]


async def _returning(value: object) -> object:
    return value


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(heartbeat, "RECHECK_SECONDS", 0.01)
    monkeypatch.setattr(heartbeat, "LASTING_SECONDS", 0.02)


@pytest.fixture
def worker(quick: None) -> Worker:
    worker = Worker()
    worker.presence.note_connected()
    return worker


async def test_heartbeat_of_a_worker_that_can_store_files_has_no_storing_error(worker: Worker) -> None:
    async with beating(worker):
        assert await eventually(worker.reported) == [None]


@pytest.mark.parametrize("error", [ChunkServiceUnavailable, StorageFull])
async def test_heartbeat_reports_why_the_chunk_service_cannot_store(worker: Worker, error: type[GridhaulError]) -> None:
    worker.chunk_service_error = error("The chunk service cannot store.")
    async with beating(worker):
        assert await eventually(lambda: _reported(worker, error.code))


async def test_heartbeat_carries_the_count_of_messages_that_the_worker_passed_over(worker: Worker) -> None:
    worker.passed_over = 3
    async with beating(worker):
        (group,) = await eventually(worker.lookup.groups)
    assert group.passed_over == 3


async def test_heartbeats_go_on_after_the_database_was_unavailable(worker: Worker) -> None:
    async with beating(worker, UnavailableAtFirst(worker.lookup, worker="worker")):
        assert await eventually(worker.reported) == [None]


async def test_heartbeats_go_on_after_an_unexpected_error(worker: Worker) -> None:
    worker.chunk_service_error = ZeroDivisionError()
    async with beating(worker):
        await eventually(lambda: _returning(worker.chunk_service_checks))
        worker.chunk_service_error = None
        assert await eventually(worker.reported) == [None]


def test_slow_check_and_a_lost_write_leave_no_gap_that_counts_as_silence() -> None:
    database = LosingOne()
    loop = Heartbeat(database, SlowChunkService(), queues=QUEUES, takes_messages=lambda: True, passed_over=lambda: 0)

    async def run_for_a_while() -> None:
        task = asyncio.create_task(loop.run())
        await asyncio.wait([task], timeout=60)
        task.cancel()
        await asyncio.wait([task])

    virtual_time.run(run_for_a_while())
    gaps = [later - earlier for earlier, later in pairwise(database.written_at)]
    assert len(gaps) > 5
    assert max(gaps) < SILENT_SECONDS


def test_error_is_reported_once_it_lasts_and_its_end_soon() -> None:
    """In virtual time, at the real periods."""
    worker = Worker(chunk_service_error=ChunkServiceUnavailable("The chunk service does not answer."))

    async def recover() -> list[str | None]:
        async with beating(worker):
            await asyncio.sleep(LASTING_SECONDS - 0.1)
            assert await worker.reported() == [None]
            await asyncio.sleep(RECHECK_SECONDS)
            assert await worker.reported() == [ChunkServiceUnavailable.code]
            worker.chunk_service_error = None
            await asyncio.sleep(RECHECK_SECONDS)
            return await worker.reported()

    worker.presence.takes_messages = lambda: True  # type: ignore[method-assign]
    assert virtual_time.run(recover()) == [None]


async def test_process_whose_parent_is_not_connected_is_silent_until_it_is(quick: None) -> None:
    worker = Worker()
    async with beating(worker):
        await eventually(lambda: _returning(worker.presence_checks > 4))
        assert not worker.chunk_service_checks
        assert not worker.lookup.latest
        worker.presence.note_connected()
        assert await eventually(worker.reported) == [None]


def test_worker_takes_messages_until_it_is_asked_to_stop(worker: Worker) -> None:
    assert worker.presence.takes_messages()
    worker.presence.ask_to_stop()
    assert not worker.presence.takes_messages()


@pytest.mark.parametrize(("seconds", "takes_messages"), [(9, True), (11, False)])
def test_child_takes_no_messages_10_s_after_its_parent_was_connected(
    monkeypatch: pytest.MonkeyPatch, seconds: float, takes_messages: bool
) -> None:
    presence, connected_at = Presence(), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: connected_at)
    presence.note_connected()
    monkeypatch.setattr(time, "monotonic", lambda: connected_at + seconds)
    assert presence.takes_messages() is takes_messages
