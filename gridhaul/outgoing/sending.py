"""Bodies of many blocks: a thread takes each block and sends it, by httpx2's synchronous transport.

An event loop would take each block through all layers of an asynchronous client, and write it to the socket with the
interpreter's lock held: a fifth of a delivery's time. Here it only waits for the thread, and can cut its connection.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpcore2
import httpx2

from gridhaul.outgoing.line import Line
from gridhaul.process.threads import thread_ended
from gridhaul.transfer.ports import Leaving

ANSWER_MOST_BYTES = 1 << 16  # beyond it the answer is cut off, and the connection given up
HEAD_LEAVES = "http11.send_request_headers.started"  # an event of httpcore2's extension `trace`


def _nothing(_: int) -> None:
    """Nobody wants to know."""


class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """Blocks that a thread sends as the body of one request (`request.stream`), and how that ended.

    `leaving` is called right before the head of the request leaves, with 0, and before each block, with its length.
    `stop` lets a thread that waits for the next block get an error. An asynchronous client lets the body pass, and a
    transport that knows nothing of threads finds the blocks there as well.
    """

    def __init__(
        self, blocks: Iterable[bytes], *, leaving: Leaving = _nothing, stop: Callable[[], None] = lambda: None
    ) -> None:
        self._blocks = blocks
        self._leaving = leaving
        self.stop = stop
        self.is_sent = False  # all of it
        self.failure: Exception | None = None  # what `blocks` or `leaving` raised, whatever libraries make of it

    def head_leaves(self) -> None:
        try:
            self._leaving(0)
        except Exception as error:
            self.failure = error
            raise

    def __iter__(self) -> Generator[bytes]:
        try:
            for block in self._blocks:
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
    """The connections for such bodies: each request has one of its own. Belongs to one event loop."""

    def __init__(self, tls: ssl.SSLContext, *, at_once: int, kept_seconds: float) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="sending")
        self._new = partial(_Sender, tls, kept_seconds)
        self._kept_seconds = kept_seconds
        self._idle: list[tuple[float, _Sender]] = []  # since when
        self._busy: set[_Sender] = set()

    async def send(self, request: httpx2.Request, body: Body) -> httpx2.Response:
        """The answer to the request with that body; of the answer's own body the first 64 KiB.

        Raises what the body raises, and httpx2.TransportError, also for a success that comes before the whole body has
        gone. Cancelled, it ends at once and the connection with it; while that is being made, after a few seconds.
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
            self._take_back(sender)
        if response.is_success and not body.is_sent:
            raise httpx2.RemoteProtocolError("success was answered before the whole body had gone")
        return response

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

    def __init__(self, tls: ssl.SSLContext, kept_seconds: float) -> None:
        self._line = Line(asyncio.get_running_loop())
        self._transport = _Transport(tls, kept_seconds, self._line)

    @property
    def is_cut(self) -> bool:
        return self._line.is_cut

    def send(self, request: httpx2.Request, body: Body) -> httpx2.Response:
        """In a thread."""

        def trace(event: str, _: object) -> None:
            if event == HEAD_LEAVES:
                body.head_leaves()

        extensions = {**request.extensions, "trace": trace}
        sent = httpx2.Request(request.method, request.url, headers=request.headers, stream=body, extensions=extensions)
        response = self._transport.handle_request(sent)
        assert isinstance(response.stream, httpx2.SyncByteStream)  # noqa: S101 - it is of a synchronous transport
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
