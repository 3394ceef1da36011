"""A relay of bytes that cuts its connections: after planned numbers of bytes on the way to the server, or at times."""

import asyncio
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
READ_BYTES = 64 << 10


@dataclass(kw_only=True)
class Relay:
    """A running relay."""

    upstream: tuple[str, int]
    cuts: list[int] = field(default_factory=list)  # ascending numbers of bytes towards the server, of all connections
    every_seconds: float | None = None  # cut each connection that is this old; None: none
    bytes_per_second: float = math.inf  # of each connection towards the server
    port: int = 0
    sent_bytes: int = 0  # towards the server
    made: int = 0  # cuts so far

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


@contextmanager
def cutting(
    upstream: tuple[str, int],
    *,
    cuts: Sequence[int] = (),
    every_seconds: float | None = None,
    bytes_per_second: float = math.inf,
) -> Iterator[Relay]:
    """Yield a relay to the server, which runs in a thread."""
    relay = Relay(upstream=upstream, cuts=sorted(cuts), every_seconds=every_seconds, bytes_per_second=bytes_per_second)
    ready = threading.Event()
    end: list[Callable[[], object]] = []

    async def serve() -> None:
        stop, tasks = asyncio.Event(), set[asyncio.Task[None]]()
        loop = asyncio.get_running_loop()
        end.append(lambda: loop.call_soon_threadsafe(stop.set))

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.create_task(_relayed(relay, reader, writer)))

        server = await asyncio.start_server(connected, HOST, 0)
        relay.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10), "the relay does not start"
    try:
        yield relay
    finally:
        end[0]()
        thread.join()


async def _relayed(relay: Relay, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
    """Relay both directions of one connection until one side ends it, or it is cut."""
    try:
        server, to_server = await asyncio.open_connection(*relay.upstream)
    except (OSError, asyncio.CancelledError):
        to_client.transport.abort()
        return
    ways = [asyncio.create_task(_up(relay, client, to_server)), asyncio.create_task(_down(server, to_client))]
    try:
        done, _ = await asyncio.wait(ways, timeout=relay.every_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        for writer in (to_client, to_server):  # before the wait, which ends early if the relay stops meanwhile
            writer.transport.abort()
        await asyncio.wait(ways)
    if not done:
        relay.made += 1


async def _up(relay: Relay, client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await client.read(READ_BYTES):
            cut = relay.cuts[0] - relay.sent_bytes if relay.cuts else None
            if cut is not None and cut <= len(data):
                data = data[: max(0, cut)]
                relay.cuts.pop(0)
                relay.made += 1
            else:
                cut = None
            to_server.write(data)
            relay.sent_bytes += len(data)
            await to_server.drain()
            await asyncio.sleep(len(data) / relay.bytes_per_second)
            if cut is not None:
                return


async def _down(server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await server.read(READ_BYTES):
            to_client.write(data)
            await to_client.drain()
