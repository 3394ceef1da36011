"""`FairSlots`: each owner's share, the order of arrival, and slots of callers who give up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from gridhaul.process.fair_slots import FairSlots
from tests.contracts.ports import eventually

LIMIT = 4
EACH = 2


class Work:
    """Tasks that hold a slot until they are ended. `running` has their names in the order in which they got slots."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._slots = FairSlots(limit=LIMIT, limit_each=EACH)
        self._group = group
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._begun = set[str]()
        self.running: list[str] = []

    async def start(self, *names: str) -> None:
        """Start tasks, whose names begin with their owners: `alice-1`. Return when each holds a slot or waits."""
        for name in names:
            self._tasks[name] = self._group.create_task(self._hold(name))

        async def all_begun() -> bool:
            return self._begun.issuperset(names)

        await eventually(all_begun)

    async def end(self, *names: str) -> None:
        """End the tasks, also those that still wait."""
        for name in names:
            self._tasks[name].cancel()
        await asyncio.wait([self._tasks[name] for name in names])

    async def end_all(self) -> None:
        await self.end(*self._tasks)

    async def becomes(self, *running: str) -> bool:
        """Wait until exactly these tasks hold slots, in this order."""

        async def is_so() -> bool:
            return self.running == list(running)

        return await eventually(is_so)

    async def _hold(self, name: str) -> None:
        self._begun.add(name)
        free_slot = await self._slots.acquire(name.split("-")[0])
        self.running.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            self.running.remove(name)
            free_slot()


@asynccontextmanager
async def working() -> AsyncIterator[Work]:
    async with asyncio.TaskGroup() as group:
        work = Work(group)
        yield work
        await work.end_all()


async def test_owner_holds_no_more_than_its_share_and_the_others_the_rest() -> None:
    async with working() as work:
        await work.start("alice-1", "alice-2", "alice-3", "bob-1", "carol-1", "dave-1")
        assert work.running == ["alice-1", "alice-2", "bob-1", "carol-1"]


async def test_callers_get_slots_in_the_order_of_arrival() -> None:
    async with working() as work:
        await work.start("alice-1", "bob-1", "carol-1", "dave-1", "erin-1", "frank-1")
        await work.end("carol-1")
        assert await work.becomes("alice-1", "bob-1", "dave-1", "erin-1")
        await work.end("alice-1")
        assert await work.becomes("bob-1", "dave-1", "erin-1", "frank-1")


async def test_owner_that_holds_its_share_does_not_delay_later_callers() -> None:
    async with working() as work:
        await work.start("alice-1", "alice-2", "alice-3", "bob-1")
        assert work.running == ["alice-1", "alice-2", "bob-1"]
        await work.end("alice-2")
        assert await work.becomes("alice-1", "bob-1", "alice-3")


async def test_caller_that_gives_up_leaves_its_place_to_the_next() -> None:
    async with working() as work:
        await work.start("alice-1", "alice-2", "bob-1", "bob-2", "carol-1", "dave-1")
        await work.end("carol-1")
        await work.end("alice-1")
        assert await work.becomes("alice-2", "bob-1", "bob-2", "dave-1")


async def test_caller_that_gives_up_while_a_slot_becomes_free_passes_the_slot_on() -> None:
    async with working() as work:
        await work.start("alice-1", "alice-2", "bob-1", "bob-2", "carol-1", "dave-1")
        await work.end("alice-1", "carol-1")
        assert await work.becomes("alice-2", "bob-1", "bob-2", "dave-1")


@pytest.mark.parametrize("seed", range(10))
async def test_no_slot_is_lost_in_whatever_step_a_caller_gives_up(seed: int) -> None:
    chance, slots = Random(seed), FairSlots(limit=LIMIT, limit_each=EACH)

    async def hold(owner: str, steps: int) -> None:
        free_slot = await slots.acquire(owner)
        try:
            for _ in range(steps):
                await asyncio.sleep(0)
        finally:
            free_slot()

    tasks = []
    for _ in range(200):
        tasks.append(asyncio.create_task(hold(chance.choice("abc"), chance.randrange(8))))
        if chance.random() < 0.5:
            chance.choice(tasks).cancel()
        await asyncio.sleep(0)
    assert not (await asyncio.wait(tasks, timeout=30))[1]
    async with asyncio.timeout(30):
        for number in range(LIMIT):
            await slots.acquire(f"owner-{number % 2}")


async def test_caller_of_several_slots_is_not_overtaken_by_callers_of_fewer() -> None:
    slots, order = FairSlots(limit=LIMIT, limit_each=LIMIT), list[str]()

    async def take(owner: str, count: int) -> None:
        free_slots = await slots.acquire(owner, count=count)
        order.append(owner)
        free_slots()

    held = [await slots.acquire("alice", count=1) for _ in range(LIMIT)]
    tasks = [asyncio.create_task(take("bob", 3)), asyncio.create_task(take("carol", 1))]
    for free_slot in held:
        await asyncio.sleep(0)
        free_slot()
    async with asyncio.timeout(30):
        await asyncio.gather(*tasks)
    assert order == ["bob", "carol"]


async def test_callers_of_several_slots_never_wait_for_each_other() -> None:
    slots = FairSlots(limit=LIMIT, limit_each=LIMIT)

    async def take(owner: str) -> None:
        free_slots = await slots.acquire(owner, count=3)
        await asyncio.sleep(0)
        free_slots()

    async with asyncio.timeout(30):
        await asyncio.gather(*(take(owner) for owner in "abcabcabc"))


async def test_caller_that_gives_up_frees_the_slots_that_it_had_taken_already() -> None:
    slots = FairSlots(limit=LIMIT, limit_each=LIMIT)
    held = await slots.acquire("alice", count=2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await slots.acquire("bob", count=3)
    async with asyncio.timeout(30):
        await slots.acquire("bob", count=2)
    held()


async def test_slot_that_is_freed_twice_is_one_slot() -> None:
    slots = FairSlots(limit=1, limit_each=1)
    free_slot = await slots.acquire("alice")
    free_slot()
    free_slot()
    await slots.acquire("alice")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await slots.acquire("alice")


async def test_owners_without_slots_are_forgotten() -> None:
    slots = FairSlots(limit=LIMIT, limit_each=EACH)
    for number in range(50):
        (await slots.acquire(f"owner-{number}"))()

    async def forgotten() -> bool:
        return len(slots._slots_of) == 0

    assert await eventually(forgotten)
