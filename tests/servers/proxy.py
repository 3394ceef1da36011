"""An HTTP/1.1 proxy that notes each request that passes, and disturbs the exchanges that a test has planned."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import h11

from tests.servers.exchange import BROKEN, Peer, Planned, Seen, exchange
from tests.servers.interceptor import BESIDE, NOTHING_BESIDE, Connected, Interceptor

__all__ = ["BESIDE", "NOTHING_BESIDE", "Interceptor", "Planned", "Proxy", "Seen", "proxying"]

HOST = "127.0.0.1"


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

    async def listen(connected: Connected) -> asyncio.Server:
        server = await asyncio.start_server(connected, HOST, 0)
        proxy.port = server.sockets[0].getsockname()[1]
        return server

    with proxy.accepting(listen, partial(_serve, proxy)):
        yield proxy


async def _serve(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
    """Serve all exchanges of one connection."""
    client = Peer(h11.SERVER, reader, writer)
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
