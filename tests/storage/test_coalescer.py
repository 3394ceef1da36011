"""The coalescer does calls of one moment together, and gives each caller its own outcome."""

import asyncio
from collections.abc import Sequence

import pytest

from gridhaul.storage.coalescer import Coalescer


class Doing:
    """Notes the items of each call, then waits for `may`. A negative item fails; `broken` fails the whole call."""

    def __init__(self) -> None:
        self.done: list[tuple[str, list[int]]] = []
        self.begun = asyncio.Semaphore(0)
        self.may = asyncio.Event()
        self.broken = False

    async def __call__(self, key: str, items: Sequence[int]) -> Sequence[Exception | None]:
        self.done.append((key, list(items)))
        self.begun.release()
        await self.may.wait()
        if self.broken:
            raise ConnectionError
        return [ValueError(item) if item < 0 else None for item in items]


@pytest.fixture
def doing() -> Doing:
    return Doing()


@pytest.fixture
def coalescer(doing: Doing) -> Coalescer[str, int, None]:
    return Coalescer(doing)


async def _asked(coalescer: Coalescer[str, int, None], *items: int, key: str = "a") -> list[asyncio.Task[None]]:
    """Return a task per item, each of which has asked and waits."""
    asked = [asyncio.create_task(coalescer.ask(key, item)) for item in items]
    await asyncio.sleep(0)
    return asked


async def _outcomes(asked: Sequence[asyncio.Task[None]]) -> list[type[BaseException] | None]:
    results = await asyncio.gather(*asked, return_exceptions=True)
    return [type(result) if isinstance(result, BaseException) else None for result in results]


async def test_one_alone_is_done_at_once(doing: Doing, coalescer: Coalescer[str, int, None]) -> None:
    doing.may.set()
    for item in (1, 2):
        await coalescer.ask("a", item)
    assert doing.done == [("a", [1]), ("a", [2])]


async def test_those_of_one_moment_are_done_together(doing: Doing, coalescer: Coalescer[str, int, None]) -> None:
    asked = await _asked(coalescer, 1, 2, 3)
    doing.may.set()
    assert await _outcomes(asked) == [None] * 3
    assert doing.done == [("a", [1, 2, 3])]


async def test_those_that_come_meanwhile_are_done_together_next(
    doing: Doing, coalescer: Coalescer[str, int, None]
) -> None:
    asked = await _asked(coalescer, 1)
    await doing.begun.acquire()
    asked += await _asked(coalescer, 2, 3)
    doing.may.set()
    assert await _outcomes(asked) == [None] * 3
    assert doing.done == [("a", [1]), ("a", [2, 3])]


async def test_keys_do_not_wait_for_each_other(doing: Doing, coalescer: Coalescer[str, int, None]) -> None:
    asked = await _asked(coalescer, 1) + await _asked(coalescer, 2, key="b")
    for _ in range(2):
        await doing.begun.acquire()
    assert doing.done == [("a", [1]), ("b", [2])]
    doing.may.set()
    await asyncio.gather(*asked)


async def test_each_hears_of_its_own_failure(doing: Doing, coalescer: Coalescer[str, int, None]) -> None:
    asked = await _asked(coalescer, -1, 2, -3)
    doing.may.set()
    assert await _outcomes(asked) == [ValueError, None, ValueError]


async def test_all_hear_of_a_failure_of_all_and_the_next_is_tried(
    doing: Doing, coalescer: Coalescer[str, int, None]
) -> None:
    asked = await _asked(coalescer, 1, 2, 3)
    doing.broken = True
    doing.may.set()
    assert await _outcomes(asked) == [ConnectionError] * 3
    doing.broken = False
    await coalescer.ask("a", 4)


async def test_one_that_is_cancelled_while_it_waits_is_left_out(
    doing: Doing, coalescer: Coalescer[str, int, None]
) -> None:
    asked = await _asked(coalescer, 1)
    await doing.begun.acquire()
    asked += await _asked(coalescer, 2, 3)
    asked[1].cancel()
    await asyncio.sleep(0)
    doing.may.set()
    assert await _outcomes(asked) == [None, asyncio.CancelledError, None]
    assert doing.done == [("a", [1]), ("a", [3])]


async def test_one_that_is_cancelled_while_it_is_done_takes_nobody_with_it(
    doing: Doing, coalescer: Coalescer[str, int, None]
) -> None:
    asked = await _asked(coalescer, 1, 2)
    await doing.begun.acquire()
    asked += await _asked(coalescer, 3)
    asked[0].cancel()
    doing.may.set()
    assert await _outcomes(asked) == [asyncio.CancelledError, None, None]


async def test_each_gets_what_came_of_its_own() -> None:
    async def double(key: str, items: Sequence[int]) -> Sequence[str | Exception]:
        return [key * item for item in items]

    coalescer: Coalescer[str, int, str] = Coalescer(double)
    assert await asyncio.gather(*(coalescer.ask("a", n) for n in range(4))) == ["", "a", "aa", "aaa"]
