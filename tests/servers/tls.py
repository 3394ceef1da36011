"""TLS in front of a server that has none of its own, as stunnel does it."""

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
    """The port where the server at `port` is reached by TLS; served in a thread."""
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
    """Both directions of one connection, until both are at their end."""
    with suppress(OSError, asyncio.CancelledError):  # cancelled at the end, when nothing else is to be done
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
