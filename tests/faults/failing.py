"""Calls of ports are counted over a whole run, and chosen calls fail."""

import asyncio
import errno
import math
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any, TypeVar

from gridhaul.transfer.errors import GridhaulError, LeaseLost

T = TypeVar("T")

LATENCY_SECONDS = 0.15  # before and after a call, so that leases are renewed and progress is written between calls


class Way(StrEnum):
    """How a call fails."""

    REFUSED = "refused"  # the call does nothing and raises an error
    ANSWER_LOST = "answer-lost"  # the call is done, but raises an error
    WORKER_DIES = "worker-dies"  # the call does nothing, and the worker does nothing more
    ARRIVES_LATE = "arrives-late"  # the worker dies, and the call is done later, after calls of other workers
    AWAY = "away"  # from this call on, every call of the port that fails in no other way is refused for a while
    STOP = "stop"  # the call is done, and the worker is asked to stop


class Faults:
    """The plan of failures: the number of each call that fails, from 1, and the way it fails.

    With `port`, only the calls of that port are counted.
    """

    def __init__(
        self, plan: Mapping[int, Way], *, port: str | None = None, late_calls: int = 0, away_seconds: float = 0
    ) -> None:
        self._plan = plan
        self._port = port
        self._late_calls = late_calls
        self._away_seconds = away_seconds
        self._away_until: dict[str, float] = {}
        self._on_its_way: dict[int, list[Callable[[], Coroutine[Any, Any, None]]]] = {}
        self._arrived: list[asyncio.Task[None]] = []
        self.calls: list[str] = []
        self.before_each: Callable[[], None] = lambda: None

    def __str__(self) -> str:
        named = dict(enumerate(self.calls, 1))
        return ", ".join(f"{way} at {number} ({named.get(number)})" for number, way in self._plan.items())

    @property
    def all_met(self) -> bool:
        """Return whether the run came to every call that was to fail."""
        return len(self.calls) >= max(self._plan, default=0)

    @property
    def any_met(self) -> bool:
        """Return whether the run came to the first call that was to fail."""
        return len(self.calls) >= min(self._plan, default=math.inf)

    @property
    def arrived(self) -> int:
        """Return how many late requests arrived."""
        return len(self._arrived)

    def count(self, name: str) -> Way | None:
        """Count a call that begins, and return the way it fails, or None."""
        self.before_each()
        port = name.split(".")[0]
        if self._port not in (None, port):
            return None
        self.calls.append(name)
        for act in self._on_its_way.pop(len(self.calls), []):
            self._arrived.append(asyncio.create_task(act()))
        way, now = self._plan.get(len(self.calls)), asyncio.get_running_loop().time()
        if way is Way.AWAY:
            self._away_until[port] = now + self._away_seconds
        if way is None or way is Way.AWAY:
            return Way.REFUSED if now < self._away_until.get(port, 0.0) else None
        return way

    def do_late(self, act: Callable[[], Awaitable[object]]) -> None:
        """Run `act` after `late_calls` further calls, when its caller is dead."""

        async def arrive() -> None:
            with suppress(GridhaulError, LeaseLost):  # the caller is dead and hears of no error
                await act()

        self._on_its_way.setdefault(len(self.calls) + self._late_calls, []).append(arrive)

    def raise_what_broke(self) -> None:
        """Raise the unexpected error of a late request, if there is one."""
        for task in self._arrived:
            task.result()


class Life:
    """The life of a worker process, as its ports see it."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.dead = asyncio.Event()
        self.stopping = False

    async def call(self, name: str, error: type[GridhaulError], act: Callable[[], Awaitable[T]]) -> T:
        """Make a request to a port."""
        way = await self._begin(name)
        if way is Way.ARRIVES_LATE:
            self._faults.do_late(act)
        return await self._end(name, error, act, way)

    async def step(self, name: str, error: type[GridhaulError], act: Callable[[], Awaitable[T]]) -> T:
        """Make a part of a longer request. The whole request ends when the worker dies, so no part arrives late."""
        return await self._end(name, error, act, await self._begin(name))

    def steps(self, name: str, error: type[GridhaulError], items: Iterator[T]) -> Iterator[T]:
        """Yield the items, each received by a step that may fail. A step takes no virtual time.

        A thread takes the items, and a thread cannot wait for the virtual clock.
        """
        over = object()
        while True:
            way = self._faults.count(name)
            if way in (Way.REFUSED, Way.WORKER_DIES, Way.ARRIVES_LATE):
                if way is not Way.REFUSED:
                    self.dead.set()  # from now on every other call of this worker hangs
                raise error(f"{name} was refused.")
            if way is Way.STOP:
                self.stopping = True
            item = next(items, over)
            if way is Way.ANSWER_LOST:
                raise error(f"The answer of {name} was lost.")
            if item is over:
                return
            yield item  # type: ignore[misc]

    def read(self, name: str, act: Callable[[], T]) -> T:
        """Make a call of the operating system. Raises OSError (EIO) where the call fails."""
        way = self._faults.count(name)
        if way is Way.STOP:
            self.stopping = True
        elif way is not None:
            if way in (Way.WORKER_DIES, Way.ARRIVES_LATE):
                self.dead.set()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return act()

    async def _begin(self, name: str) -> Way | None:
        await self._unless_dead()
        way = self._faults.count(name)
        await asyncio.sleep(LATENCY_SECONDS)
        await self._unless_dead()
        return way

    async def _end(self, name: str, error: type[GridhaulError], act: Callable[[], Awaitable[T]], way: Way | None) -> T:
        if way is Way.REFUSED:
            raise error(f"{name} was refused.")
        if way in (Way.WORKER_DIES, Way.ARRIVES_LATE):
            self.dead.set()
            await self._unless_dead()
        if way is Way.STOP:
            self.stopping = True
        result = await act()
        await asyncio.sleep(LATENCY_SECONDS)
        if way is Way.ANSWER_LOST:
            raise error(f"The answer of {name} was lost.")
        return result

    async def _unless_dead(self) -> None:
        """Return at once, but wait until cancelled if the worker is dead: a dead worker does nothing more."""
        if self.dead.is_set():
            await asyncio.Event().wait()
