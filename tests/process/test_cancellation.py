"""Background loops end, even if something below them has lost their cancellation."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress

import pytest
import structlog

from api.repeating import repeat
from gridhaul.asgi.readiness import Readiness
from gridhaul.transfer.errors import DatabaseUnavailable
from tasks.heartbeat import Heartbeat

LONG_SECONDS = 60
SOON_SECONDS = 5

Step = Callable[[], Awaitable[None]]


def preparing(step: Step) -> Coroutine[None, None, None]:
    return Readiness(step).prepare()


def repeating(step: Step) -> Coroutine[None, None, None]:
    return repeat(step, every_seconds=0.5, log=structlog.get_logger(), name="step")


def beating(step: Step) -> Coroutine[None, None, None]:
    class ChunkService:
        async def check(self) -> None:
            await step()

    class Heartbeats:
        async def beat(self, *_: object, **__: object) -> None:
            raise DatabaseUnavailable("away")

    return Heartbeat(
        Heartbeats(), ChunkService(), queues=frozenset(), takes_messages=lambda: True, passed_over=lambda: 0
    ).run()


@pytest.mark.parametrize("loop_of", [preparing, repeating, beating])
async def test_loop_ends_though_a_step_has_lost_its_cancellation(
    loop_of: Callable[[Step], Coroutine[None, None, None]],
) -> None:
    begun = asyncio.Event()

    async def step() -> None:
        if not begun.is_set():  # only the first cancellation is lost, so that a loop that fails the test can be ended
            begun.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(LONG_SECONDS)
        raise DatabaseUnavailable("away")

    task = asyncio.create_task(loop_of(step))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task], timeout=SOON_SECONDS)
    ended = task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended
