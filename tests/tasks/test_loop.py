"""The event loop of a worker child."""

import asyncio
import threading

import pytest

from tasks.loop import LoopThread


async def test_loop_runs_on_between_tasks() -> None:
    loop, ticked = LoopThread(), threading.Event()

    async def start() -> asyncio.Task[None]:
        async def tick() -> None:
            await asyncio.sleep(0.02)
            ticked.set()

        return asyncio.create_task(tick())

    task = await asyncio.to_thread(loop.run, start())
    assert await asyncio.to_thread(ticked.wait, 10), "the loop stands still between tasks"
    assert task.done() or task is not None
    loop.close()


async def test_what_a_journey_raises_is_raised_to_the_caller() -> None:
    loop = LoopThread()

    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(loop.run, broken())
    loop.close()
