"""Daemon threads for calls that may never return, such as calls to a mounted file system whose server is gone.

Nothing can interrupt such a call. A caller that gives up leaves the call to its thread, and the thread takes no other
call before the first one returns. The threads of an executor do not serve here, because Python waits for each of them
before it exits.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")


class BoundedThreads:
    """At most `limit` calls run at once, at most `limit_each` of them for one owner. Further calls wait for a slot.

    A slot is free again when its call has returned, however long ago the caller gave up.
    """

    def __init__(self, *, limit: int, limit_each: int, within_seconds: float) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._slots_of = WeakValueDictionary[str, asyncio.Semaphore]()  # forgets owners for whom no call runs or waits
        self._limit_each = limit_each
        self._within_seconds = within_seconds
        self._calls = SimpleQueue[Callable[[], None]]()
        self._busy = 0
        self._threads = 0

    async def run(self, owner: str, call: Callable[[], T]) -> T:
        """Return the result of the call. Raises what the call raises.

        Raises TimeoutError if waiting for a slot and the call together take longer than `within_seconds`.
        """
        slots_of_owner = self._slots_of.setdefault(owner, asyncio.Semaphore(self._limit_each))
        async with asyncio.timeout(self._within_seconds):
            with ExitStack() as held:
                for slots in (slots_of_owner, self._slots):
                    await slots.acquire()
                    held.callback(slots.release)
                outcome = self._start(call, held.pop_all())
            return await asyncio.wrap_future(outcome)

    def _start(self, call: Callable[[], T], held: ExitStack) -> Future[T]:
        """Give the call to an idle thread, or to a new one if all are busy. Free what is held when the call is over."""
        outcome: Future[T] = Future()
        loop = asyncio.get_running_loop()
        self._busy += 1
        if self._busy > self._threads:
            Thread(target=self._work, name="bounded", daemon=True).start()
            self._threads += 1

        def free() -> None:
            self._busy -= 1
            held.close()

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
    """Run the call and give its result, or what it raises, to whoever still waits for the outcome."""
    if not outcome.set_running_or_notify_cancel():
        return  # the caller gave up before a thread took the call
    try:
        result = call()
    except BaseException as error:
        outcome.set_exception(error)
    else:
        outcome.set_result(result)
