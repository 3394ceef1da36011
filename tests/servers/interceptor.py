"""The common part of the proxies of all protocols: notes and plans, and a thread that accepts connections."""

import asyncio
import itertools
import re
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.servers.disturbances import Disturbance
from tests.servers.exchange import Planned, Seen

START_SECONDS = 10.0
# Requests that workers send beside their work are neither noted nor disturbed: those of health checks and probes.
# `NOTHING_BESIDE` is for tests of servers that disturb also the probes.
BESIDE = re.compile(r"/readyz|.*/\.gridhaul-[0-9a-f]{24}-[0-9]+~.*")
NOTHING_BESIDE = re.compile(r"(?!)")


Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]
Listen = Callable[[Connected], Awaitable[asyncio.Server]]
Number = int  # of a connection, from 1 on
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Number], Coroutine[Any, Any, None]]


@dataclass(kw_only=True)
class Interceptor:
    """The notes and plans of a proxy of any protocol; the plans may be changed while it runs."""

    requests: list[Seen] = field(default_factory=list)
    plans: list[Planned] = field(default_factory=list)
    beside: re.Pattern[str] = BESIDE
    _connections: set[asyncio.Task[None]] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None

    def plan(
        self,
        disturbance: Disturbance,
        *,
        method: str | None = None,
        part_of_target: str = "",
        skip: int = 0,
        times: int = 1,
    ) -> Planned:
        """Plan to disturb requests to come. A request is disturbed by the first plan that takes it."""
        planned = Planned(disturbance=disturbance, method=method, part_of_target=part_of_target, skip=skip, times=times)
        self.plans.append(planned)
        return planned

    def note(self, seen: Seen) -> Planned | None:
        """Note a request that has come, and return the plan that takes it, if there is one."""
        if self.beside.fullmatch(seen.target):
            return None
        self.requests.append(seen)
        return next((plan for plan in list(self.plans) if plan.takes(seen)), None)

    def count(self, method: str) -> int:
        """Return how many requests with the method have come."""
        return sum(seen.method == method for seen in list(self.requests))

    @property
    def busy(self) -> bool:
        """Return whether an exchange is under way."""
        return any(not seen.over for seen in list(self.requests))

    def reset_all(self) -> None:
        """Reset every open connection now."""
        assert self._loop is not None
        for task in list(self._connections):
            self._loop.call_soon_threadsafe(task.cancel)

    def forget(self) -> None:
        """Drop all plans and all noted requests."""
        self.plans.clear()
        self.requests.clear()

    @contextmanager
    def accepting(self, listen: Listen, serve: Serve) -> Iterator[None]:
        """Listen from a thread, and serve each connection in a task, which is cancelled at the end."""
        ready = threading.Event()
        end: list[Callable[[], object]] = []

        async def run() -> None:
            stop = asyncio.Event()
            loop = self._loop = asyncio.get_running_loop()
            end.append(lambda: loop.call_soon_threadsafe(stop.set))
            async with self._listening(listen, serve):
                ready.set()
                await stop.wait()

        thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        thread.start()
        if not ready.wait(START_SECONDS):
            raise TimeoutError("the proxy does not start")
        try:
            yield
        finally:
            end[0]()
            thread.join()

    @asynccontextmanager
    async def _listening(self, listen: Listen, serve: Serve) -> AsyncGenerator[None]:
        numbers = itertools.count(1)

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(serve(reader, writer, next(numbers)))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

        server = await listen(connected)
        try:
            yield
        finally:
            server.close()
            tasks = list(self._connections)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
