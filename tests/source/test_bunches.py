"""Bunches of a walk: they end by count, by time or once nobody waits, and the walk ends with them."""

import asyncio
import threading
import time
from collections.abc import Generator

import pytest

from gridhaul.source import bunches
from gridhaul.source.bunches import BUNCH, Bunches, Step
from gridhaul.source.found import Passed
from gridhaul.transfer.batches import Skipped


class Endless:
    """A walk of folders in which nothing is found, and which tells whether it was closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.let_go = threading.Event()
        self.waits = threading.Event()

    def passing(self) -> Generator[Step]:
        try:
            n = 0
            while True:
                yield Passed(path=f"/srv/{n}")
                n += 1
        finally:
            self.closed.set()

    def hanging(self) -> Generator[Step]:
        """Wait for a file system that does not answer before it is let go."""
        try:
            self.waits.set()
            self.let_go.wait(20)
            yield Passed(path="/srv/0")
            raise AssertionError("nobody asked for a second step")
        finally:
            self.closed.set()


def skipped(count: int) -> Generator[Step]:
    for n in range(count):
        yield Skipped(path=f"/srv/{n}", reason="link", detail="")
        yield Passed(path=f"/srv/{n}/")


async def test_bunch_ends_by_count_and_the_next_one_goes_on() -> None:
    with Bunches(skipped(BUNCH + 1)) as some:
        first, second = await some.next(), await some.next()
    assert (len(first.items), first.after, first.is_last) == (BUNCH, f"/srv/{BUNCH - 1}", False)
    assert (len(second.items), second.after, second.is_last) == (1, f"/srv/{BUNCH}/", True)


async def test_bunch_of_a_walk_that_finds_nothing_ends_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bunches, "BUNCH_SECONDS", 0.05)
    walk = Endless()
    with Bunches(walk.passing()) as some:
        first, second = await some.next(), await some.next()
    assert (first.items, first.is_last, second.is_last) == ([], False, False)
    assert int(second.after.removeprefix("/srv/")) > int(first.after.removeprefix("/srv/"))
    assert await asyncio.to_thread(walk.closed.wait, 10)


async def test_walk_that_is_cancelled_ends_though_it_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bunches, "BUNCH_SECONDS", 3600)
    walk = Endless()

    async def through() -> None:
        with Bunches(walk.passing()) as some:
            await some.next()

    task = asyncio.create_task(through())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(walk.closed.wait, 10)


async def test_nobody_waits_for_a_file_system_that_does_not_answer() -> None:
    walk = Endless()

    async def through() -> None:
        with Bunches(walk.hanging()) as some:
            await some.next()

    task = asyncio.create_task(through())
    assert await asyncio.to_thread(walk.waits.wait, 10)
    task.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 5
    assert not walk.closed.is_set()
    walk.let_go.set()
    assert await asyncio.to_thread(walk.closed.wait, 10)
