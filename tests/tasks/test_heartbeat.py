"""The heartbeat of a worker process: when it is written, and what it tells."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gridhaul.transfer.errors import ChunkServiceUnavailable, DatabaseUnavailable, StorageFull
from gridhaul.transfer.model import Queue
from tasks import heartbeat, presence
from tasks.heartbeat import Heartbeat
from tasks.presence import Presence
from tests.contracts.memory_heartbeats import MemoryHeartbeats, MemoryWorkerSigns
from tests.contracts.ports import eventually

QUEUES = frozenset({Queue.LARGE})


@dataclass(kw_only=True)
class Worker:
    """A worker process with a memory twin of the database, and a chunk service that a test can break."""

    presence: Presence = field(default_factory=Presence)
    signs: MemoryWorkerSigns = field(default_factory=MemoryWorkerSigns)
    trouble: Exception | None = None
    chunk_service_asked: int = 0
    presence_asked: int = 0

    def takes_messages(self) -> bool:
        self.presence_asked += 1
        return self.presence.takes_messages()

    async def check(self) -> None:
        self.chunk_service_asked += 1
        if self.trouble is not None:
            raise self.trouble

    async def told(self) -> list[str | None]:
        return [sign.missing for sign in await self.signs.signs() if sign.queues == QUEUES]


class Away(MemoryHeartbeats):
    """A database that does not take the first heartbeats."""

    failures = 2

    async def beat(self, queues: frozenset[Queue], missing: str | None) -> None:
        if self.failures:
            self.failures -= 1
            raise DatabaseUnavailable("It is away.")
        await super().beat(queues, missing)


@asynccontextmanager
async def beating(worker: Worker, heartbeats: MemoryHeartbeats | None = None) -> AsyncIterator[None]:
    loop = Heartbeat(
        heartbeats or MemoryHeartbeats(worker.signs),
        worker,
        queues=QUEUES,
        takes_messages=worker.takes_messages,
    )
    task = asyncio.create_task(loop.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _returning(value: object) -> object:
    return value


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(heartbeat, "LOOK_SECONDS", 0.01)


@pytest.fixture
def worker() -> Worker:
    worker = Worker()
    worker.presence.connected()
    return worker


async def test_heartbeat_tells_queues_and_that_nothing_is_missing(worker: Worker) -> None:
    async with beating(worker):
        assert await eventually(worker.told) == [None]


@pytest.mark.parametrize("trouble", [ChunkServiceUnavailable, StorageFull])
async def test_heartbeat_tells_what_the_chunk_service_lacks(worker: Worker, trouble: type[Exception]) -> None:
    worker.trouble = trouble("So it is.")
    async with beating(worker):
        (code,) = await eventually(worker.told)
    assert code == trouble.code  # type: ignore[attr-defined]


async def test_heartbeats_go_on_after_the_database_was_away(worker: Worker) -> None:
    async with beating(worker, Away(worker.signs)):
        assert await eventually(worker.told) == [None]


async def test_heartbeats_go_on_after_an_unexpected_error(worker: Worker) -> None:
    worker.trouble = ZeroDivisionError()
    async with beating(worker):
        await eventually(lambda: _returning(worker.chunk_service_asked))
        worker.trouble = None
        assert await eventually(worker.told) == [None]


async def test_process_whose_parent_is_not_connected_is_silent_until_it_is() -> None:
    worker = Worker()
    async with beating(worker):
        await eventually(lambda: _returning(worker.presence_asked > 4))
        assert not worker.chunk_service_asked
        assert not worker.signs.latest
        worker.presence.connected()
        assert await eventually(worker.told) == [None]


def test_worker_takes_messages_until_it_is_asked_to_stop(worker: Worker) -> None:
    assert worker.presence.takes_messages()
    worker.presence.ask_to_stop()
    assert not worker.presence.takes_messages()


def test_child_of_a_parent_that_is_gone_takes_no_messages(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "CONNECTED_SECONDS", 0.0)
    assert not worker.presence.takes_messages()
