"""Ports whose calls are counted over a whole run, and of which chosen ones fail."""

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

LATENCY_SECONDS = 0.15  # each way, so that leases are renewed and progress is written between calls


class Way(StrEnum):
    """How a call fails."""

    REFUSED = "refused"  # nothing is done
    ANSWER_LOST = "answer-lost"  # it is done, but the caller hears of an error
    WORKER_DIES = "worker-dies"  # nothing is done, and nothing else by this worker
    ARRIVES_LATE = "arrives-late"  # the worker dies, and what it asked for is done when others have followed
    AWAY = "away"  # from this call on the port does not answer for a while
    STOP = "stop"  # the call goes well, and the worker is asked to stop


class Faults:
    """Which call, counted from 1, fails in which way. With `port`, only its calls count."""

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
        """Whether the run came to every call that was to fail."""
        return len(self.calls) >= max(self._plan, default=0)

    @property
    def any_met(self) -> bool:
        """Whether the run came to the first call that was to fail."""
        return len(self.calls) >= min(self._plan, default=math.inf)

    @property
    def arrived(self) -> int:
        """How many late requests arrived."""
        return len(self._arrived)

    def count(self, name: str) -> Way | None:
        """A call begins; the way it fails."""
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
        return Way.REFUSED if now < self._away_until.get(port, 0.0) else way

    def do_late(self, act: Callable[[], Awaitable[object]]) -> None:
        """Do it when others have made so many calls that its caller is long gone."""

        async def arrive() -> None:
            with suppress(GridhaulError, LeaseLost):  # nobody is there to hear of it
                await act()

        self._on_its_way.setdefault(len(self.calls) + self._late_calls, []).append(arrive)

    def raise_what_broke(self) -> None:
        """Errors of what was done late."""
        for task in self._arrived:
            task.result()


class Life:
    """A worker process as its ports see it."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.dead = asyncio.Event()
        self.stopping = False

    async def call(self, name: str, error: type[GridhaulError], act: Callable[[], Awaitable[T]]) -> T:
        """A request to a port."""
        way = await self._begin(name)
        if way is Way.ARRIVES_LATE:
            self._faults.do_late(act)
        return await self._end(name, error, act, way)

    async def step(self, name: str, error: type[GridhaulError], act: Callable[[], Awaitable[T]]) -> T:
        """A part of something longer, which ends with the worker."""
        return await self._end(name, error, act, await self._begin(name))

    def steps(self, name: str, error: type[GridhaulError], items: Iterator[T]) -> Iterator[T]:
        """The items, each got by a step that takes no time: they are used where nobody can wait for the clock."""
        over = object()
        while True:
            way = self._faults.count(name)
            if way in (Way.REFUSED, Way.WORKER_DIES, Way.ARRIVES_LATE):
                if way is not Way.REFUSED:
                    self.dead.set()  # the error is the last thing that happens: every other port stands still
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
        """A call of the operating system."""
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
        """The dead do nothing more; they are only buried (cancelled)."""
        if self.dead.is_set():
            await asyncio.Event().wait()
