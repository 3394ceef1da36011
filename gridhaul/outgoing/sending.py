"""Requests whose body is made while it is sent: a thread sends them with httpx2's synchronous transport.

An asynchronous client passes each block of a body through all its layers on the event loop, and writes the block to the
socket while it holds the interpreter's lock: a fifth of a delivery's time. Here the event loop only makes the blocks,
and a thread sends them.
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
from gridhaul.transfer.ports.targets import Leaving

MADE_AHEAD = 4  # blocks of a body that are made before the thread takes them
PIECES_AT_ONCE = 4  # pieces of a response body that a thread reads in one call
LEAVING = "leaving"  # the request extension that holds a `Leaving`, which is called before parts of the request leave
HEAD_LEAVES = "http11.send_request_headers.started"  # httpcore2 reports this event to the request extension `trace`

T = TypeVar("T")


class Senders:
    """The connections for requests whose body is made while it is sent. An instance belongs to one event loop.

    Each request in progress has a connection of its own.
    """

    def __init__(self, tls: ssl.SSLContext, *, at_once: int, kept_seconds: float) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="sending")
        self._new = partial(_Sender, tls, kept_seconds, self._threads)
        self._kept_seconds = kept_seconds
        self._idle: list[tuple[float, _Sender]] = []  # each sender with the monotonic time of its return, oldest first
        self._busy: set[_Sender] = set()

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request and return the response, whose body the caller must read or close.

        The sending thread calls the request's extension `leaving` with 0 right before the request's head leaves, and
        with a block's length right before the block leaves.
        Raises what `leaving` or the body raises, and httpx2.TransportError, also when a success arrives before the
        whole body has left.
        A cancelled call closes its connection and ends at once. While the connection is still being made, the call
        ends only after the connect timeout, a few seconds.
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
        assert isinstance(response.stream, httpx2.SyncByteStream)  # noqa: S101 - the transport is synchronous
        answer = _Answer(response.stream, sender, self._take_back)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=answer, extensions=response.extensions
        )

    def close(self) -> None:
        """Close the idle connections, and cut the connections that are in use."""
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
    """A transport that has at most one connection and serves one request at a time."""

    def __init__(self, tls: ssl.SSLContext, kept_seconds: float, threads: ThreadPoolExecutor) -> None:
        self._line = Line(asyncio.get_running_loop())
        self._transport = _Transport(tls, kept_seconds, self._line)
        self._threads = threads

    @property
    def is_cut(self) -> bool:
        return self._line.is_cut

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)  # noqa: S101 - `http_client` sends other streams itself
        leaving: Leaving = request.extensions.get(LEAVING, _ignore)

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
            raise httpx2.RemoteProtocolError("a success arrived before the whole body had left")
        return response

    async def in_thread(self, call: Callable[[], T], *, when_cancelled: Callable[[], None] | None = None) -> T:
        """Run `call` in a thread and return its result.

        When cancelled, run `when_cancelled`, cut the connection so that the call soon ends, and wait for its end.
        """

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
    """httpx2's synchronous transport with a pool of one connection, which a `Line` makes and can cut."""

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
    """The body that a thread sends: the blocks of an asynchronous stream, which the event loop makes ahead.

    The thread calls `leaving` before each block.
    """

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
        self.is_sent = False  # True once every block has left

    def __iter__(self) -> Generator[bytes]:
        while (block := self._take()) is not None:
            self._leaving(len(block))
            yield block
        self.is_sent = True

    def stop(self) -> None:
        """Stop making blocks. Must be called on the event loop.

        Only the first call cancels the task: a second cancel would interrupt the closing of the stream.
        """
        if not self._is_stopped:
            self._is_stopped = True
            self._end(httpx2.WriteError("the body is not wanted any more"))
            self._making.cancel()

    async def stopped(self) -> None:
        """Stop making blocks, and wait until the task that makes them has ended. Must be called on the event loop."""
        self.stop()
        await ended(self._making)

    def _take(self) -> bytes | None:
        """Wait in the thread for the next block and return it; None at the end. Raises what the stream raised."""
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
            # A thread's future turns this CancelledError of concurrent.futures into the one of asyncio.
            failure = CancelledError()
            raise
        finally:
            self._end(failure)
            if isinstance(blocks, AsyncGenerator):
                await blocks.aclose()

    def _end(self, failure: Exception | None) -> None:
        """Note that no more blocks follow, and why. Only the first call's `failure` is kept."""
        with self._changed:
            if not self._has_ended:
                self._has_ended, self._failure = True, failure
            self._changed.notify()


def _ignore(_: int) -> None:
    """Do nothing: the `leaving` of a request without this extension."""


class _Answer(httpx2.AsyncByteStream):
    """The body of a response, read in threads. Closing the body gives the sender back."""

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
