"""Requests with a large body: one thread takes each block of the body and sends it with httpx2's synchronous transport.

An asynchronous client would pass each block through all its layers on the event loop, and write it to the socket there.
Here the event loop only waits for the thread, and can cut the thread's connection.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpcore2
import httpx2

from gridhaul.outgoing.exchange import watched
from gridhaul.outgoing.line import Line
from gridhaul.process.threads import thread_ended
from gridhaul.transfer.ports.targets import Leaving

ANSWER_MOST_BYTES = 1 << 16  # most bytes kept of a response body; a longer one is cut and its connection closed
HEAD_LEAVES = "http11.send_request_headers.started"  # httpcore2 reports this event to the request extension `trace`


def _ignore(_: int) -> None:
    """Do nothing: the sender of this body does not need to know when bytes leave."""


class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The body of one request (`request.stream`), whose blocks a thread takes and sends; it notes how that ended.

    The sending thread calls `leaving` with 0 right before the head of the request leaves, and with a block's length
    right before that block. `stop` makes a thread that waits for the next block fail.

    Each block can be taken once, but the body keeps the first until the second is taken: until then the request can be
    repeated. The head and the first block then leave again. `leaving` is called with 0 for each of the two, so that the
    lengths add up to that of the body.

    The class is both kinds of stream, so that httpx2's asynchronous client accepts it, and a transport without threads
    (of a test) can read it.
    """

    def __init__(
        self, blocks: Iterable[bytes], *, leaving: Leaving = _ignore, stop: Callable[[], None] = lambda: None
    ) -> None:
        self._blocks: Iterable[bytes] | None = blocks  # an iterator once the body is being sent
        self._first: bytes | None = None  # the first block while no other was taken
        self._taken = 0  # blocks
        self._leaving = leaving
        self._iterating = self._iterate()
        self.stop = stop
        self.is_sent = False  # True once the sending thread has taken all blocks and asked for another
        self.failure: Exception | None = None  # the exception of `blocks` or `leaving`, which libraries may wrap

    def head_leaves(self) -> None:
        """Call `leaving` for the head. Raises what it raises."""
        try:
            self._leaving(0)
        except Exception as error:
            self.failure = error
            raise

    def begin_again(self) -> bool:
        """Prepare the body of a repeated request. Return False if that is not possible."""
        self._iterating.close()
        self.is_sent = False
        return self.failure is None and self._taken <= 1

    def release(self) -> None:
        """Forget the blocks, once the request is over.

        The exception of a failed request holds the libraries' frames, which hold the body, and the exception and these
        frames form cycles. Without this, the blocks would stay in memory until the garbage collector finds the cycles.
        """
        self._blocks = self._first = None
        self._iterating.close()

    def __iter__(self) -> Generator[bytes]:
        self._iterating = self._iterate()
        return self._iterating

    def _iterate(self) -> Generator[bytes]:
        if self._blocks is None:
            raise httpx2.StreamConsumed
        self._blocks = blocks = iter(self._blocks)
        try:
            if self._first is not None:
                self._leaving(0)
                yield self._first
            for block in blocks:
                self._taken += 1
                self._first = block if self._taken == 1 else None
                self._leaving(len(block))
                yield block
        except Exception as error:
            self.failure = error
            raise
        self.is_sent = True

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        for block in self:
            yield block


class Senders:
    """The connections for requests whose body is made while it is sent. An instance belongs to one event loop.

    Each request in progress has a connection of its own.
    """

    def __init__(self, tls: ssl.SSLContext, *, at_once: int, kept_seconds: float) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="sending")
        self._new = partial(_Sender, tls, kept_seconds)
        self._kept_seconds = kept_seconds
        self._idle: list[tuple[float, _Sender]] = []  # each sender with the monotonic time of its return, oldest first
        self._busy: set[_Sender] = set()

    async def send(self, request: httpx2.Request, body: Body) -> httpx2.Response:
        """Send the request with the body, and return the response with at most 64 KiB of its own body.

        If a kept connection ends without a byte of an answer, a new one carries the request once more, if a repeat is
        safe and the body can begin again.

        Raises what the body raised, or httpx2.TransportError; a 2xx response that arrives before the whole body was
        sent is one, too. When cancelled, it cuts the connection and raises CancelledError once the thread has ended: at
        once, or, while the connection is still being made, when that has succeeded or failed.
        """
        self._close_expired()
        sender = self._idle.pop()[1] if self._idle else self._new()
        self._busy.add(sender)

        def stop() -> None:
            body.stop()
            sender.cut()

        try:
            sending = asyncio.get_running_loop().run_in_executor(self._threads, sender.send, request, body)
            response = await thread_ended(sending, when_cancelled=stop)
        except BaseException:
            sender.cut()
            raise
        finally:
            body.release()
            self._take_back(sender)
        if response.is_success and not body.is_sent:
            raise httpx2.RemoteProtocolError("a success arrived before the whole body had left")
        return response

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

    def __init__(self, tls: ssl.SSLContext, kept_seconds: float) -> None:
        self._line = Line(asyncio.get_running_loop())
        self._transport = _Transport(tls, kept_seconds, self._line)

    @property
    def is_cut(self) -> bool:
        return self._line.is_cut

    def send(self, request: httpx2.Request, body: Body) -> httpx2.Response:
        """Send the request, in the calling thread, and once more if the server may have closed its kept connection."""
        with watched() as exchange:
            try:
                return self._send_once(request, body)
            except httpx2.TransportError as error:
                if self.is_cut or not exchange.met_a_close(request, error) or not body.begin_again():
                    raise
        return self._send_once(request, body)

    def _send_once(self, request: httpx2.Request, body: Body) -> httpx2.Response:
        def trace(event: str, _: object) -> None:
            if event == HEAD_LEAVES:
                body.head_leaves()

        extensions = {**request.extensions, "trace": trace}
        sent = httpx2.Request(request.method, request.url, headers=request.headers, stream=body, extensions=extensions)
        response = self._transport.handle_request(sent)
        assert isinstance(response.stream, httpx2.SyncByteStream)  # noqa: S101 - a synchronous transport gives no other kind
        answer = b""
        try:
            for piece in response.stream:
                answer += piece
                if len(answer) >= ANSWER_MOST_BYTES:
                    break
        finally:
            response.stream.close()
        stream = httpx2.ByteStream(answer[:ANSWER_MOST_BYTES])
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )

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
