"""A TLS terminator in front of a server without TLS, as stunnel is one."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.servers.authority import Certificate

HOST = "127.0.0.1"
BLOCK_BYTES = 1 << 16


@contextmanager
def tls_before(port: int, certificate: Certificate) -> Iterator[int]:
    """Yield the port at which a thread accepts TLS connections for the server at `port`."""
    ready = threading.Event()
    ports: list[int] = []
    end: list[Callable[[], object]] = []

    async def serve() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        end.append(lambda: loop.call_soon_threadsafe(stop.set))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate.chain, certificate.key)
        server = await asyncio.start_server(lambda *streams: _join(port, *streams), HOST, 0, ssl=context)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    if not ready.wait(10):
        raise TimeoutError("the terminator does not start")
    try:
        yield ports[0]
    finally:
        end[0]()
        thread.join()


async def _join(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy both directions of one connection, until both have ended."""
    with suppress(OSError, asyncio.CancelledError):  # cancelled when the terminator stops; nothing is left to do then
        inner_reader, inner_writer = await asyncio.open_connection(HOST, port)
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
    writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while block := await reader.read(BLOCK_BYTES):
            writer.write(block)
            await writer.drain()
    finally:
        writer.close()
