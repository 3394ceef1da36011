"""Limits on the bytes, the header fields and the time of a request's head, below the application.

httptools accepts a request line, header fields and trailer fields of any length and number, and so does uvicorn.
Without limits, one line without an end fills the memory, and a silent client keeps its connection for ever.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

PENDING_BYTES = 512 * 1024  # More than twice what one read returns; a request within MAX_HEADER_BYTES never reaches it.
HEADERS = 1000  # Bytes alone do not limit the memory: a short header field takes thirty times its length.
REFUSAL = b"content-length: 0\r\nconnection: close\r\n\r\n"


class ConnectionLimits(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which closes a connection whose request has a head over the limits.

    A head that is too large is answered with 431. A head that is too slow gets no answer.
    """

    head_seconds = 30.0  # from the connection, or the first byte of a further request, to the end of the head
    _pending_bytes = 0  # received since a head ended, a piece of a body came, or a request ended
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._stop_waiting()
        self._await_head()
        super().on_message_begin()

    def data_received(self, data: bytes) -> None:
        self._pending_bytes += len(data)
        super().data_received(data)
        if self._pending_bytes > PENDING_BYTES and not self.transport.is_closing():
            self.logger.warning("Headers without an end.")
            self._refuse()

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= HEADERS:
            self._pending_bytes = PENDING_BYTES + 1
            raise ValueError("too many headers")  # httptools stops parsing, and uvicorn calls `send_400_response`
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._pending_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._pending_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._pending_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._pending_bytes > PENDING_BYTES:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _refuse(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(STATUS_LINE[431] + REFUSAL)
        self.transport.close()
