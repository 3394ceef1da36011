"""A TCP proxy that notes the request lines of the HTTP/1.1 requests that pass through it."""

import asyncio
import re
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
BLOCK_BYTES = 1 << 16
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)


class RequestLines:
    """Finds the request lines in what a client sends on one connection; bodies are skipped by their Content-Length."""

    def __init__(self, seen: list[str]) -> None:
        self._seen = seen
        self._head = b""
        self._body_left = 0

    def feed(self, data: bytes) -> None:
        while data:
            skipped = min(self._body_left, len(data))
            self._body_left -= skipped
            data = self._feed_head(data[skipped:])

    def _feed_head(self, data: bytes) -> bytes:
        """What follows the head, once it is complete."""
        head, end, rest = (self._head + data).partition(b"\r\n\r\n")
        if not end:
            self._head = head
            return b""
        self._head = b""
        self._seen.append(head.lstrip(b"\r\n").split(b"\r\n", 1)[0].decode("latin-1"))
        length = _LENGTH.search(head)
        self._body_left = int(length[1]) if length else 0
        return rest


@dataclass(kw_only=True)
class CountingProxy:
    port: int = 0
    requests: list[str] = field(default_factory=list)  # request lines as the clients sent them

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def count(self, method: str) -> int:
        """How many requests of the method passed."""
        return sum(line.startswith(f"{method} ") for line in list(self.requests))


@contextmanager
def counting_proxy(upstream_host: str, upstream_port: int) -> Iterator[CountingProxy]:
    """The proxy, listening, in a thread. When it ends, its connections are cut."""
    proxy = CountingProxy()
    ready = threading.Event()
    end: list[Callable[[], object]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        end.append(lambda: loop.call_soon_threadsafe(stop.set))
        async with _listening(proxy, upstream_host, upstream_port):
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
async def _listening(proxy: CountingProxy, host: str, port: int) -> AsyncGenerator[None]:
    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_forward(reader, writer, host=host, port=port, seen=proxy.requests))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(connected, HOST, 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, host: str, port: int, seen: list[str]
) -> None:
    with closing(writer):
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(host, port)
        except OSError:
            return
        lines = RequestLines(seen)
        with closing(upstream_writer):
            await asyncio.gather(
                _copy(reader, upstream_writer, lines.feed), _copy(upstream_reader, writer, lambda data: None)
            )


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: Callable[[bytes], None]) -> None:
    """Until the sender ends; then the receiver is told. An upstream that breaks off is closed to the client."""
    with suppress(ConnectionError):
        while data := await reader.read(BLOCK_BYTES):
            look(data)
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.write_eof()
