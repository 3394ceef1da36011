"""Bodies that are made while they are sent: sent in a thread, by httpx2's synchronous transport.

An event loop takes each block of a body through all layers of an asynchronous client, and writes it to the socket with
the interpreter's lock held: a fifth of a delivery's time. Here it only makes the blocks, and a thread sends them.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from itertools import islice
from threading import Condition
from typing import TypeVar

import httpcore2
import httpx2

from gridhaul.outgoing.line import Line
from gridhaul.process.threads import ended, thread_ended
from gridhaul.transfer.ports import Leaving

MADE_AHEAD = 4  # blocks of a body
PIECES_AT_ONCE = 4  # of an answer
LEAVING = "leaving"  # the extension of a request that says who is told before its parts leave
HEAD_LEAVES = "http11.send_request_headers.started"  # an event of httpcore2's extension `trace`

T = TypeVar("T")


class Senders:
    """The connections for such bodies: each request has one of its own. Belongs to one event loop."""

    def __init__(self, tls: ssl.SSLContext, *, at_once: int, kept_seconds: float) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="sending")
        self._new = partial(_Sender, tls, kept_seconds, self._threads)
        self._kept_seconds = kept_seconds
        self._idle: list[tuple[float, _Sender]] = []  # since when
        self._busy: set[_Sender] = set()

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """The answer; its body is still to be read, or closed.

        The request's extension `leaving` is called in the thread right before its head leaves, with 0, and before each
        block, with its length. Raises what that or the body raises, and httpx2.TransportError, also for a success that
        comes before the whole body has gone.
        Cancelled, it ends at once and the connection with it; while that is being made, after a few seconds.
        """
        self._close_expired()
        sender = self._idle.pop()[1] if self._idle else self._new()
        self._busy.add(sender)
        try:
            response = await sender.send(request)
        except BaseException:
            self._busy.discard(sender)
            sender.close()
            raise
        assert isinstance(response.stream, httpx2.SyncByteStream)  # noqa: S101 - it is of a synchronous transport
        answer = _Answer(response.stream, sender, self._take_back)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=answer, extensions=response.extensions
        )

    def close(self) -> None:
        """Give back the connections, and cut those that are in use."""
        for sender in self._busy:
            sender.cut()
        while self._idle:
            self._idle.pop()[1].close()
        self._threads.shutdown(wait=False)

    def _take_back(self, sender: "_Sender") -> None:
        self._busy.discard(sender)
        if sender.is_cut:
            sender.close()
        else:
            self._idle.append((time.monotonic(), sender))

    def _close_expired(self) -> None:
        expired_before = time.monotonic() - self._kept_seconds
        while self._idle and self._idle[0][0] < expired_before:
            self._idle.pop(0)[1].close()


class _Sender:
    """One connection at most, for one request at a time."""

    def __init__(self, tls: ssl.SSLContext, kept_seconds: float, threads: ThreadPoolExecutor) -> None:
        self._line = Line(asyncio.get_running_loop())
        self._transport = _Transport(tls, kept_seconds, self._line)
        self._threads = threads

    @property
    def is_cut(self) -> bool:
        return self._line.is_cut

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)  # noqa: S101 - who sends the others is httpx2
        leaving: Leaving = request.extensions.get(LEAVING, _nothing)

        def trace(event: str, _: object) -> None:
            if event == HEAD_LEAVES:
                leaving(0)

        body = _Body(request.stream, leaving)
        extensions = {**request.extensions, "trace": trace}
        sent = httpx2.Request(request.method, request.url, headers=request.headers, stream=body, extensions=extensions)
        try:
            response = await self.in_thread(lambda: self._transport.handle_request(sent), when_cancelled=body.stop)
        finally:
            await body.stopped()
        if response.is_success and not body.is_sent:
            raise httpx2.RemoteProtocolError("success was answered before the whole body had gone")
        return response

    async def in_thread(self, call: Callable[[], T], *, when_cancelled: Callable[[], None] | None = None) -> T:
        """Call it. When cancelled, cut the connection, so that the thread soon ends, and wait for that."""

        def stop() -> None:
            if when_cancelled is not None:
                when_cancelled()
            self.cut()

        calling = asyncio.get_running_loop().run_in_executor(self._threads, call)
        return await thread_ended(calling, when_cancelled=stop)

    def cut(self) -> None:
        self._line.cut()

    def close(self) -> None:
        self._transport.close()


class _Transport(httpx2.HTTPTransport):
    """httpx2's own, over that line."""

    def __init__(self, tls: ssl.SSLContext, kept_seconds: float, line: Line) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls,
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=kept_seconds,
            network_backend=line,
        )


class _Body(httpx2.SyncByteStream):
    """For a thread: the blocks of a stream on the event loop, some made ahead of it. `leaving` comes before each."""

    def __init__(self, stream: httpx2.AsyncByteStream, leaving: Leaving) -> None:
        self._loop = asyncio.get_running_loop()
        self._leaving = leaving
        self._room = asyncio.Semaphore(MADE_AHEAD)
        self._changed = Condition()
        self._made: deque[bytes] = deque()
        self._has_ended = False
        self._failure: Exception | None = None
        self._is_stopped = False
        self._making = asyncio.create_task(self._make(aiter(stream)))
        self.is_sent = False  # all of it

    def __iter__(self) -> Generator[bytes]:
        while (block := self._take()) is not None:
            self._leaving(len(block))
            yield block
        self.is_sent = True

    def stop(self) -> None:
        """On the event loop: nothing more is made. Once: a second cancel would interrupt how the blocks are closed."""
        if not self._is_stopped:
            self._is_stopped = True
            self._end(httpx2.WriteError("the body is not wanted any more"))
            self._making.cancel()

    async def stopped(self) -> None:
        """On the event loop: what is made for nobody any more has ended."""
        self.stop()
        await ended(self._making)

    def _take(self) -> bytes | None:
        """The next one; None at the end. Raises what the stream raised."""
        with self._changed:
            self._changed.wait_for(lambda: self._made or self._has_ended)
            if not self._made and self._failure is not None:
                raise self._failure
            block = self._made.popleft() if self._made else None
        self._loop.call_soon_threadsafe(self._room.release)
        return block

    async def _make(self, blocks: AsyncIterator[bytes]) -> None:
        failure: Exception | None = None
        try:
            while True:
                await self._room.acquire()
                block = await anext(blocks)
                with self._changed:
                    self._made.append(block)
                    self._changed.notify()
        except StopAsyncIteration:
            pass
        except Exception as error:
            failure = error
        except asyncio.CancelledError:
            failure = CancelledError()  # a thread's, which is asyncio's again for whoever waits for the thread
            raise
        finally:
            self._end(failure)
            if isinstance(blocks, AsyncGenerator):
                await blocks.aclose()

    def _end(self, failure: Exception | None) -> None:
        """The first one counts."""
        with self._changed:
            if not self._has_ended:
                self._has_ended, self._failure = True, failure
            self._changed.notify()


def _nothing(_: int) -> None:
    """Nobody wants to know."""


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
