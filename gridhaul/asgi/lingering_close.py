"""A transport that ends a connection without destroying the last answer (RFC 9112, section 9.6)."""

import asyncio
from collections.abc import Callable
from typing import Any


class LingeringTransport(asyncio.Transport):
    """A transport whose `close` first lets a client that may still be sending read the answer.

    If a socket is closed while received bytes are unread, the kernel resets the connection, and the client may lose an
    answer that it has not read yet. So `close` ends only the sending direction and lets the protocol discard what
    arrives, until the client closes too, sends nothing for a while, or takes too long. TLS cannot end one direction, so
    over TLS only the answer itself, with its `Connection: close`, tells the client to stop.
    """

    quiet_seconds = 2.0  # a client that sends nothing for this long has stopped, or has read the answer
    max_discarded_bytes = 32 << 20  # a client that sends a whole segment (16 MiB) before it reads still gets the answer
    discarding_seconds = 10.0  # how long bytes are discarded, once the whole answer has left
    unread_seconds = 30.0  # the close is given up this long after the client last read bytes of the answer

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, may_send: Callable[[], bool]
    ) -> None:
        """`may_send` returns whether bytes from the client may be unread, because a request has not arrived whole."""
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._may_send = may_send
        self._closing = False
        self._discarded_bytes = 0
        self._discarded_before = 0
        self._unsent_bytes = 0
        self._give_up_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._await_progress(self._transport.get_write_buffer_size())
        if not self._may_send() or self._transport.is_closing():
            self._transport.close()
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()

    def discard(self, length_bytes: int) -> None:
        """Count bytes that arrived after `close` and were discarded. Over the limit, stop reading."""
        self._discarded_bytes += length_bytes
        if self._discarded_bytes > self.max_discarded_bytes:
            self._transport.pause_reading()

    def connection_lost(self) -> None:
        """Stop waiting for the client, because the connection has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _await_progress(self, unsent_bytes: int) -> None:
        self._unsent_bytes = unsent_bytes
        self._give_up_at = self._loop.time() + (self.unread_seconds if unsent_bytes else self.discarding_seconds)
        self._timer = self._loop.call_later(self.quiet_seconds, self._check_progress)

    def _check_progress(self) -> None:
        """Close the connection if its client has read the answer and sends nothing. Abort it if that takes too long.

        Over TLS, bytes that count as sent may still wait below TLS for a slow client. So the connection is closed, not
        aborted: the close sends them, and asyncio and uvloop give it 30 s.
        """
        unsent = self._transport.get_write_buffer_size()
        if unsent < self._unsent_bytes:
            self._await_progress(unsent)
        elif self._loop.time() >= self._give_up_at:
            self._transport.abort()
        elif not unsent and self._discarded_bytes == self._discarded_before:
            self._transport.close()
        else:
            self._discarded_before = self._discarded_bytes
            self._timer = self._loop.call_later(self.quiet_seconds, self._check_progress)

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def write(self, data: Any) -> None:
        if not self._closing:
            self._transport.write(data)

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    def pause_reading(self) -> None:
        if not self._closing:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._closing:
            self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()
