"""Slots that limit how much work runs at once, and how much of it belongs to one owner."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from weakref import WeakValueDictionary


class FairSlots:
    """At most `limit` slots are held at once, at most `limit_each` of them by one owner.

    Callers get slots in the order in which they arrive. But a caller whose owner holds `limit_each` slots first waits
    until that owner frees one, and delays nobody else meanwhile. An instance belongs to one event loop.
    """

    def __init__(self, *, limit: int, limit_each: int) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._limit_each = limit_each
        # The dictionary forgets owners who neither hold a slot nor wait for one.
        self._slots_of = WeakValueDictionary[str, asyncio.Semaphore]()

    async def acquire(self, owner: str) -> Callable[[], None]:
        """Wait for a slot, and return the function that frees it. A cancelled call holds no slot."""
        slots_of_owner = self._slots_of.setdefault(owner, asyncio.Semaphore(self._limit_each))
        with ExitStack() as held:
            for slots in (slots_of_owner, self._slots):
                await slots.acquire()
                held.callback(slots.release)
            return held.pop_all().close
