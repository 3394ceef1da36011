"""Slots that limit how much work runs at once, and how much of it belongs to one owner."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from gridhaul.transfer.errors import GridhaulError


class FairSlots:
    """At most `limit` slots are held at once, at most `limit_each` of them by one owner.

    Callers get slots in the order in which they arrive. But a caller for whom its owner has too few slots left first
    waits until that owner frees some, and delays only later callers of that owner meanwhile. An instance belongs to one
    event loop.
    """

    def __init__(self, *, limit: int, limit_each: int) -> None:
        self._slots = _Slots(limit)
        self._limit_each = limit_each
        # The dictionary forgets owners who neither hold a slot nor wait for one.
        self._slots_of = WeakValueDictionary[str, _Slots]()

    async def acquire(self, owner: str, *, count: int = 1) -> Callable[[], None]:
        """Wait for `count` slots, at most `limit_each`, and return the function that frees them.

        A cancelled call holds no slot.
        """
        slots_of_owner = self._slots_of.setdefault(owner, _Slots(self._limit_each))
        with ExitStack() as held:
            for slots in (slots_of_owner, self._slots):
                held.callback(await slots.acquire(count))
            return held.pop_all().close

    @asynccontextmanager
    async def hold(
        self, owner: str, *, count: int = 1, turn_seconds: float, busy: GridhaulError
    ) -> AsyncGenerator[None]:
        """Hold `count` slots inside the context. Raises `busy` if so many do not become free within `turn_seconds`."""
        try:
            async with asyncio.timeout(turn_seconds):
                free_slots = await self.acquire(owner, count=count)
        except TimeoutError:
            raise busy from None
        try:
            yield
        finally:
            free_slots()


class _Slots:
    """Slots of which one caller after another takes some: two callers never wait for slots that the other one holds."""

    def __init__(self, limit: int) -> None:
        self._free = asyncio.Semaphore(limit)
        self._turn = asyncio.Lock()

    async def acquire(self, count: int) -> Callable[[], None]:
        async with self._turn:
            with ExitStack() as held:
                for _ in range(count):
                    await self._free.acquire()
                    held.callback(self._free_one)
                return held.pop_all().close

    def _free_one(self) -> None:
        self._free.release()
