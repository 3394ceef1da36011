"""Connections to a server that speaks `BoundedHttp`, within the test's own event loop."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from gridhaul.asgi.http_protocol import BoundedHttp
from tests.servers.authority import Certificate

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def served(
    app: ASGIApp | None = None, kind: type[BoundedHttp] = BoundedHttp, tls: Certificate | None = None
) -> AsyncGenerator[Callable[[], Awaitable[Connection]]]:
    """Yield a function that connects to the server. Without `app`, the server answers `here`."""
    config = uvicorn.Config(app or PlainTextResponse("here"), ws="none", log_level="critical")
    state = ServerState()
    for_server, for_client = _contexts(tls) if tls else (None, None)
    server = await asyncio.get_running_loop().create_server(
        lambda: kind(config, state, {}), "127.0.0.1", 0, ssl=for_server
    )
    clients: list[asyncio.StreamWriter] = []

    async def connect() -> Connection:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=for_client)
        clients.append(writer)
        return reader, writer

    async with server, asyncio.timeout(30):
        try:
            yield connect
        finally:
            for writer in clients:
                writer.close()
            for connection in list(state.connections):
                # Python 3.11 raises AttributeError while it tells the protocol that a connection over TLS is lost.
                with suppress(AttributeError):
                    connection.transport.abort()
            while state.connections or state.tasks:  # noqa: ASYNC110 - the server has no event for its last connection
                await asyncio.sleep(0.001)


@asynccontextmanager
async def connected(
    app: ASGIApp | None = None, kind: type[BoundedHttp] = BoundedHttp, tls: Certificate | None = None
) -> AsyncGenerator[Connection]:
    """Yield one connection to the server of `served`."""
    async with served(app, kind, tls) as connect:
        yield await connect()


def _contexts(certificate: Certificate) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the TLS contexts of the server and of its clients."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate.chain, certificate.key)
    return server, ssl.create_default_context(cafile=certificate.ca_file)


def noted() -> tuple[type[BoundedHttp], asyncio.Event]:
    """Return `BoundedHttp`, and an event that is set when a connection is lost."""
    lost = asyncio.Event()

    class Noted(BoundedHttp):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    return Noted, lost


def timed(**seconds: float) -> type[BoundedHttp]:
    """Return `BoundedHttp` with these durations, such as `head_seconds`."""
    return type("Timed", (BoundedHttp,), seconds)
