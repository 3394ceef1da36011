"""The slots of downloads: an account's share, turns in order, and places in the queue that are given up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from api.download_limit import DownloadSlots
from gridhaul.transfer.errors import DownloadsBusy

SLOTS = 4
SHARE = SLOTS // 2


class Downloads:
    """Downloads that run until they are ended; `running` has their names in the order of their turns."""

    def __init__(self, slots: DownloadSlots, group: asyncio.TaskGroup) -> None:
        self._slots = slots
        self._group = group
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.running: list[str] = []

    async def start(self, *names: str) -> None:
        """Start a download for each name, which begins with its account: `alice-1`."""
        for name in names:
            self._tasks[name] = self._group.create_task(self._download(name))
        await settled()

    async def end(self, *names: str) -> None:
        """End the downloads, also those that still wait."""
        for name in names:
            self._tasks[name].cancel()
        await settled()

    async def end_all(self) -> None:
        await self.end(*self._tasks)

    async def _download(self, name: str) -> None:
        async with self._slots.hold(name.split("-")[0]):
            self.running.append(name)
            try:
                await asyncio.Event().wait()
            finally:
                self.running.remove(name)


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def downloading() -> AsyncIterator[Downloads]:
    async with asyncio.TaskGroup() as group:
        downloads = Downloads(DownloadSlots(slots=SLOTS), group)
        yield downloads
        await downloads.end_all()


async def test_account_holds_half_of_the_slots_and_the_others_the_rest() -> None:
    async with downloading() as downloads:
        await downloads.start("alice-1", "alice-2", "alice-3", "bob-1", "carol-1", "dave-1")
        assert downloads.running == ["alice-1", "alice-2", "bob-1", "carol-1"]


async def test_who_waits_gets_a_turn_in_the_order_of_arrival() -> None:
    async with downloading() as downloads:
        await downloads.start("alice-1", "bob-1", "carol-1", "dave-1", "erin-1", "frank-1")
        await downloads.end("carol-1")
        assert downloads.running == ["alice-1", "bob-1", "dave-1", "erin-1"]
        await downloads.end("alice-1")
        assert downloads.running == ["bob-1", "dave-1", "erin-1", "frank-1"]


async def test_account_with_its_share_does_not_hold_up_who_came_later() -> None:
    async with downloading() as downloads:
        await downloads.start("alice-1", "alice-2", "alice-3", "bob-1")
        assert downloads.running == ["alice-1", "alice-2", "bob-1"]
        await downloads.end("alice-2")
        assert downloads.running == ["alice-1", "bob-1", "alice-3"]


async def test_who_gives_up_leaves_the_queue_to_the_next() -> None:
    async with downloading() as downloads:
        await downloads.start("alice-1", "alice-2", "bob-1", "bob-2", "carol-1", "dave-1")
        await downloads.end("carol-1")
        await downloads.end("alice-1")
        assert downloads.running == ["alice-2", "bob-1", "bob-2", "dave-1"]


async def test_who_gives_up_at_the_moment_of_the_turn_passes_the_slot_on() -> None:
    async with downloading() as downloads:
        await downloads.start("alice-1", "alice-2", "bob-1", "bob-2", "carol-1", "dave-1")
        await downloads.end("alice-1", "carol-1")
        assert downloads.running == ["alice-2", "bob-1", "bob-2", "dave-1"]


async def test_no_slot_is_lost_whatever_is_given_up() -> None:
    slots = DownloadSlots(slots=SLOTS, turn_seconds=0.001)

    async def download(number: int) -> None:
        with suppress(DownloadsBusy, TimeoutError):
            async with asyncio.timeout(number % 7 / 3000), slots.hold(f"account {number % 5}"):
                await asyncio.sleep(number % 11 / 5000)

    await asyncio.gather(*(download(number) for number in range(500)))
    async with AsyncExitStack() as held:
        for number in range(SLOTS):
            await held.enter_async_context(slots.hold(f"account {number % 2}"))


async def test_without_a_turn_in_time_a_download_is_refused_and_holds_nothing() -> None:
    slots = DownloadSlots(slots=SLOTS, turn_seconds=0.01)
    async with AsyncExitStack() as held:
        for _ in range(SHARE):
            await held.enter_async_context(slots.hold("alice"))
        with pytest.raises(DownloadsBusy) as refused:
            await held.enter_async_context(slots.hold("alice"))
        assert refused.value.retry_after_seconds
    async with slots.hold("alice"), slots.hold("alice"):
        pass
