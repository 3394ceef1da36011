"""Daemon threads for calls that may never return, such as calls to a mounted file system whose server is gone.

Nothing can interrupt such a call. A caller that gives up leaves the call to its thread, and the thread runs no other
call before the first one returns. The threads of an executor are no substitute, because Python waits for each of them
before it exits.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from gridhaul.process.fair_slots import FairSlots

T = TypeVar("T")


class BoundedThreads:
    """At most `limit` calls run at once, at most `limit_each` of them for one owner. Further calls wait for a slot.

    The slot of a call becomes free when the call returns, even if the caller gave up long before.
    """

    def __init__(self, *, limit: int, limit_each: int, within_seconds: float) -> None:
        self._slots = FairSlots(limit=limit, limit_each=limit_each)
        self._within_seconds = within_seconds
        self._calls = SimpleQueue[Callable[[], None]]()
        self._busy = 0
        self._threads = 0

    async def run(self, owner: str, call: Callable[[], T]) -> T:
        """Return the result of the call. Raises what the call raises.

        Raises TimeoutError if waiting for a slot and the call together last longer than `within_seconds`.
        """
        async with asyncio.timeout(self._within_seconds):
            free_slot = await self._slots.acquire(owner)
            return await asyncio.wrap_future(self._start(call, free_slot))

    def _start(self, call: Callable[[], T], free_slot: Callable[[], None]) -> Future[T]:
        """Give the call to an idle thread, or to a new one if all are busy. Free the slot when the call returns."""
        outcome: Future[T] = Future()
        loop = asyncio.get_running_loop()
        self._busy += 1
        if self._busy > self._threads:
            Thread(target=self._work, name="bounded", daemon=True).start()
            self._threads += 1

        def free() -> None:
            self._busy -= 1
            free_slot()

        def run() -> None:
            _settle(outcome, call)
            with suppress(RuntimeError):  # the loop is closed, because the process ends
                loop.call_soon_threadsafe(free)

        self._calls.put(run)
        return outcome

    def _work(self) -> None:
        while True:
            self._calls.get()()


def _settle(outcome: Future[Any], call: Callable[[], Any]) -> None:
    """Run the call, and set its result or its exception as the outcome."""
    if not outcome.set_running_or_notify_cancel():
        return  # the caller gave up before a thread began the call
    try:
        result = call()
    except BaseException as error:
        outcome.set_exception(error)
    else:
        outcome.set_result(result)
