"""An HTTP/1.1 proxy that notes each request that passes, and disturbs the exchanges that a test has planned."""

import asyncio
import itertools
import re
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import h11

from tests.servers.disturbances import Disturbance
from tests.servers.exchange import BROKEN, Peer, Planned, Seen, exchange

__all__ = ["Interceptor", "Planned", "Proxy", "Seen", "proxying"]

HOST = "127.0.0.1"
# Requests that workers send beside their work are neither noted nor disturbed: those of health checks and probes.
# `NOTHING_BESIDE` is for tests of servers that disturb also the probes.
BESIDE = re.compile(r"/readyz|.*/\.gridhaul-[0-9a-f]{24}-[0-9]+~.*")
NOTHING_BESIDE = re.compile(r"(?!)")


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


@dataclass(kw_only=True)
class Proxy(Interceptor):
    """A running proxy; `upstream` may be changed while it runs, too."""

    upstream: tuple[str, int]
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


@contextmanager
def proxying(host: str, port: int) -> Iterator[Proxy]:
    """Yield a proxy that listens from a thread. Its connections are reset at the end."""
    proxy = Proxy(upstream=(host, port))
    ready = threading.Event()
    end: list[Callable[[], object]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        proxy._loop = asyncio.get_running_loop()
        end.append(lambda: proxy._loop and proxy._loop.call_soon_threadsafe(stop.set))
        async with _listening(proxy):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    if not ready.wait(10):
        raise TimeoutError("the proxy does not start")
    try:
        yield proxy
    finally:
        end[0]()
        thread.join()


@asynccontextmanager
async def _listening(proxy: Proxy) -> AsyncGenerator[None]:
    numbers = itertools.count(1)

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_serve(proxy, Peer(h11.SERVER, reader, writer), next(numbers)))
        proxy._connections.add(task)
        task.add_done_callback(proxy._connections.discard)

    server = await asyncio.start_server(connected, HOST, 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        tasks = list(proxy._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(proxy: Proxy, client: Peer, number: int) -> None:
    """Serve all exchanges of one connection."""
    try:
        while isinstance(request := await client.event(), h11.Request):
            seen = _note(request, number)
            planned = proxy.note(seen)
            try:
                await exchange(client, request, upstream_at=proxy.upstream, seen=seen, planned=planned)
            finally:
                seen.over = True
            if client.http.our_state is h11.MUST_CLOSE:
                break
            client.http.start_next_cycle()
    except* BROKEN:
        client.reset()
    except* asyncio.CancelledError:  # cancelled by `reset_all` or at the end; the connection's task ends here
        client.reset()
    finally:
        client.close()


def _note(request: h11.Request, connection: int) -> Seen:
    now = time.monotonic()
    return Seen(
        connection=connection,
        method=request.method.decode(),
        target=request.target.decode(),
        headers={name.decode(): value.decode("latin-1") for name, value in request.headers},
        at=now,
        last_byte_at=now,
    )
