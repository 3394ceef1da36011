"""Bodies that are made while they are sent: sent in a thread, by httpx2's synchronous transport.

An event loop takes each block of a body through all layers of an asynchronous client, and writes it to the socket with
the interpreter's lock held: a fifth of a delivery's time. Here it only makes the blocks, the next ones while a thread
sends these.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import islice
from threading import Lock
from typing import Any, TypeVar

import httpcore2
import httpx2

from gridhaul.threads import thread_ended

BLOCKS_AT_ONCE = 4  # that go to the thread: a way there and back takes as long as sending a part of a block
PIECES_AT_ONCE = 4  # of an answer

T = TypeVar("T")

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class Senders:
    """The connections for such bodies: each request has one of its own. Belongs to one event loop."""

    def __init__(self, tls: ssl.SSLContext, *, kept_seconds: float) -> None:
        self._new = partial(_Sender, tls, kept_seconds)
        self._idle: list[_Sender] = []

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """The answer; its body is still to be read, or closed.

        Raises httpx2.TransportError, also for a success that comes before the whole body has gone, and what the body
        raises. Cancelled, it ends at once, with the connection.
        """
        sender = self._idle.pop() if self._idle else self._new()
        try:
            response = await sender.send(request)
        except BaseException:
            sender.close()
            raise
        assert isinstance(response.stream, httpx2.SyncByteStream)  # noqa: S101 - it is of a synchronous transport
        answer = _Answer(response.stream, sender, self._take_back)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=answer, extensions=response.extensions
        )

    def close(self) -> None:
        """Give back the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    def _take_back(self, sender: "_Sender") -> None:
        if sender.is_cut:
            sender.close()
        else:
            self._idle.append(sender)


class _Sender:
    """One connection at most, for one request at a time."""

    def __init__(self, tls: ssl.SSLContext, kept_seconds: float) -> None:
        self._line = _Line()
        self._transport = _Transport(tls, kept_seconds, self._line)

    @property
    def is_cut(self) -> bool:
        return self._line.is_cut

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)  # noqa: S101 - who sends the others is httpx2
        body = _Body(request.stream)
        sent = httpx2.Request(
            request.method, request.url, headers=request.headers, stream=body, extensions=request.extensions
        )
        try:
            response = await self.in_thread(lambda: self._transport.handle_request(sent), when_cancelled=body.stop)
        finally:
            await body.stopped()
        if response.is_success and not body.is_sent:
            raise httpx2.RemoteProtocolError("success was answered before the whole body had gone")
        return response

    async def in_thread(self, call: Callable[[], T], *, when_cancelled: Callable[[], None] | None = None) -> T:
        """Call it. When cancelled, cut the connection, so that the thread soon ends, and wait for that."""

        def cut() -> None:
            if when_cancelled is not None:
                when_cancelled()
            self._line.cut()

        calling = asyncio.get_running_loop().run_in_executor(None, call)
        return await thread_ended(calling, when_cancelled=cut)

    def close(self) -> None:
        self._transport.close()


class _Transport(httpx2.HTTPTransport):
    """httpx2's own, over that line."""

    def __init__(self, tls: ssl.SSLContext, kept_seconds: float, line: "_Line") -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls,
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=kept_seconds,
            network_backend=line,
        )


class _Body(httpx2.SyncByteStream):
    """For a thread: the blocks of a stream on the event loop, the next ones made while these are used."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._loop = asyncio.get_running_loop()
        self._blocks: AsyncIterator[bytes] = aiter(stream)
        self._making: asyncio.Task[Any] | None = None
        self._is_stopped = False
        self.is_sent = False  # all of it

    def __iter__(self) -> Generator[bytes]:
        making = self._make()
        while blocks := making.result():
            making = self._make()
            yield from blocks
        self.is_sent = True

    def stop(self) -> None:
        """On the event loop: nothing more is made."""
        self._is_stopped = True
        if self._making is not None:
            self._making.cancel()

    async def stopped(self) -> None:
        """On the event loop: what is made for nobody any more has ended."""
        self.stop()
        if self._making is not None:
            await asyncio.wait([self._making])
        if isinstance(self._blocks, AsyncGenerator):
            await self._blocks.aclose()

    def _make(self) -> Future[list[bytes]]:
        return asyncio.run_coroutine_threadsafe(self._some(), self._loop)

    async def _some(self) -> list[bytes]:
        """None at the end."""
        if self._is_stopped:
            raise asyncio.CancelledError
        self._making = asyncio.current_task()
        blocks = []
        async for block in self._blocks:
            blocks.append(block)
            if len(blocks) == BLOCKS_AT_ONCE:
                break
        return blocks


class _Answer(httpx2.AsyncByteStream):
    """The body of an answer. Closed, it gives the sender back."""

    def __init__(self, stream: httpx2.SyncByteStream, sender: _Sender, give_back: Callable[[_Sender], None]) -> None:
        self._stream = stream
        self._sender = sender
        self._give_back = give_back

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        pieces = iter(self._stream)
        while some := await self._sender.in_thread(lambda: list(islice(pieces, PIECES_AT_ONCE))):
            for piece in some:
                yield piece

    async def aclose(self) -> None:
        self._stream.close()
        self._give_back(self._sender)


class _Line(httpcore2.SyncBackend):
    """Makes a sender's connections, one at a time. The one there is can be cut, whatever its thread waits for."""

    def __init__(self) -> None:
        self._changing = Lock()
        self._socket: socket.socket | None = None
        self.is_cut = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore2.NetworkStream:
        return _Stream(super().connect_tcp(host, port, timeout, local_address, socket_options), self)

    def cut(self) -> None:
        """There will be no other connection either."""
        with self._changing:
            self.is_cut = True
            if self._socket is not None:
                with suppress(OSError):  # wakes its thread; beneath TLS, whose own shutdown would wait for the peer
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def hold(self, stream: httpcore2.NetworkStream) -> None:
        """It is the connection from now on. Raises ConnectError after `cut`."""
        with self._changing:
            if not self.is_cut:
                self._socket = stream.get_extra_info("socket")
                return
        stream.close()
        raise httpcore2.ConnectError("it is not wanted any more")

    def close(self, stream: httpcore2.NetworkStream) -> None:
        """Nobody cuts it while it is closed: its descriptor may be another's a moment later."""
        with self._changing:
            self._socket = None
            stream.close()


class _Stream(httpcore2.NetworkStream):
    """A connection that its line knows of."""

    def __init__(self, usual: httpcore2.NetworkStream, line: _Line) -> None:
        line.hold(usual)
        self._usual = usual
        self._line = line

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._usual.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._usual.write(buffer, timeout)

    def close(self) -> None:
        self._line.close(self._usual)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._usual.start_tls(ssl_context, server_hostname, timeout), self._line)

    def get_extra_info(self, info: str) -> Any:
        return self._usual.get_extra_info(info)
