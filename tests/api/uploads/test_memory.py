"""`UploadMemory`: a budget of chunks, which no request and no account can use up for the others."""

import asyncio
import contextvars
from contextlib import AsyncExitStack

import pytest

from api.uploads.memory import UploadMemory
from gridhaul.transfer.errors import UploadsBusy
from tests.contracts.bytes_to_store import MIB

AT_ONCE = 0.01


def memory(chunks: int, *, turn_seconds: float = AT_ONCE) -> UploadMemory:
    return UploadMemory(chunks * MIB, turn_seconds=turn_seconds)


async def waits(task: asyncio.Task[None]) -> bool:
    """Return whether the task still waits after every other task has run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)
    return not task.done()


async def test_one_account_leaves_a_quarter_of_the_requests_to_others() -> None:
    budget = memory(16)
    async with AsyncExitStack() as held:
        for _ in range(6):
            await held.enter_async_context(budget.hold("one"))
        with pytest.raises(UploadsBusy) as caught:
            await held.enter_async_context(budget.hold("one"))
        assert caught.value.retry_after_seconds == 5
        for _ in range(2):
            await held.enter_async_context(budget.hold("two"))
        with pytest.raises(UploadsBusy):
            await held.enter_async_context(budget.hold("three"))
    async with budget.hold("one"):
        pass


async def test_request_that_fails_gives_its_memory_back() -> None:
    budget = memory(4)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            async with budget.hold("one"):
                raise ZeroDivisionError


async def test_request_waits_for_its_turn() -> None:
    budget = memory(4, turn_seconds=60)

    async def use() -> None:
        async with budget.hold("one"):
            pass

    async with budget.hold("one"):
        waiting = asyncio.create_task(use())
        assert await waits(waiting)
    await waiting


async def test_segment_holds_the_memory_of_all_its_chunks() -> None:
    budget = memory(32)
    async with budget.hold("one", chunks=8), budget.hold("one", chunks=4):
        with pytest.raises(UploadsBusy):
            async with budget.hold("one"):
                pass
        async with budget.hold("two", chunks=4):
            pass


async def test_segments_of_many_requests_never_wait_for_each_other() -> None:
    """A request gets the memory for its whole segment, or none. With parts of it, all would wait for ever."""
    budget, done = memory(32, turn_seconds=60), list[int]()

    async def receive(n: int) -> None:
        async with budget.hold("one", chunks=10):
            for _ in range(10):
                await asyncio.sleep(0)
            done.append(n)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for n in range(12):
            group.create_task(receive(n))
    assert sorted(done) == list(range(12))


async def test_segment_that_is_longer_than_the_budget_is_received_alone() -> None:
    budget = memory(8)
    async with budget.hold("one", chunks=16):
        with pytest.raises(UploadsBusy):
            async with budget.hold("one"):
                pass
    async with budget.hold("one"):
        pass


@pytest.mark.parametrize(("limit_bytes", "chunks"), [(0, 1), (4 * MIB, 1), (9 * MIB - 1, 2), (64 * MIB, 16)])
async def test_quarter_of_the_budget_is_for_whole_chunks(limit_bytes: int, chunks: int) -> None:
    budget = UploadMemory(limit_bytes)
    for _ in range(chunks):
        assert not budget.is_short
        await budget.take_chunk()
    assert budget.is_short
    waiting = asyncio.create_task(budget.take_chunk())
    assert await waits(waiting)
    budget.free_chunks(1)
    await waiting
    budget.free_chunks(chunks)
    assert not budget.is_short


async def test_chunks_are_taken_without_waiting_all_or_none() -> None:
    budget = memory(16)
    assert not await budget.take_free_chunks(5)
    assert await budget.take_free_chunks(3)
    assert not await budget.take_free_chunks(2)
    assert await budget.take_free_chunks(1)
    assert budget.is_short
    budget.free_chunks(4)
    assert await budget.take_free_chunks(4)


async def test_what_can_be_done_without_is_freed_before_anybody_waits() -> None:
    budget = memory(16)
    assert await budget.take_free_chunks(4)
    budget.reclaim = lambda: budget.free_chunks(4)
    async with asyncio.timeout(10):
        await budget.take_chunk()


async def test_files_of_a_form_need_no_memory_beside_that_of_the_form() -> None:
    budget = memory(4)
    async with budget.hold_for_form("one"):
        async with budget.hold("one"):
            pass
        with pytest.raises(UploadsBusy):
            await asyncio.create_task(_used_elsewhere(budget), context=contextvars.Context())
    async with budget.hold("one"):
        pass


async def _used_elsewhere(budget: UploadMemory) -> None:
    async with budget.hold("one"):
        pass
