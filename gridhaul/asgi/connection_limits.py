"""Limits on connections, and on the bytes, the fields and the time of a request's head, below the application.

httptools accepts a request line, header fields and trailer fields of any length and number, and so does uvicorn.
Without limits, one line without an end fills the memory, and a silent client keeps its connection for ever.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gridhaul.process.open_files import open_file_limit

HEAD_BYTES = 288 * 1024  # A request within MAX_HEADER_BYTES, which is at most 256 KiB, never reaches it.
HEADERS = 1000  # Bytes alone do not limit the memory: a short header field takes thirty times its length.
CONNECTIONS = 4096  # open connections of one process
OTHER_FILES = 256  # open files that are reserved for everything but connections
READ_BYTES = 32 * 1024
REFUSAL = b"content-length: 0\r\nconnection: close\r\n\r\n"


class ConnectionLimits(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which closes a connection that is one too many, too slow, or has a head over the limits.

    A head that is too large is answered with 431, one with an unknown transfer coding with 501, and a connection over
    the limit of connections with 503. A head that is too slow gets no answer. A client that does not read its answers
    is disconnected.
    """

    head_seconds = 30.0  # from the connection, or the first byte of a further request, to the end of the head
    answer_seconds = 30.0  # a client that reads less than READ_BYTES of a buffered answer in this time is disconnected
    _overhead_bytes = 0  # received since the last complete head, piece of a body, or complete request
    _head_is_complete = False
    _refusal_status = 400  # the status that `send_400_response` answers
    _head_deadline: asyncio.TimerHandle | None = None
    _answer_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > min(CONNECTIONS, open_file_limit() - OTHER_FILES):
            self._refuse(503)
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for deadline in (self._head_deadline, self._answer_deadline):
            if deadline is not None:
                deadline.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        self._await_reading()
        super().pause_writing()

    def resume_writing(self) -> None:
        if self._answer_deadline is not None:
            self._answer_deadline.cancel()
        super().resume_writing()

    def on_message_begin(self) -> None:
        self._head_is_complete = False
        self._cancel_head_deadline()
        self._await_head()
        super().on_message_begin()

    def data_received(self, data: bytes) -> None:
        self._overhead_bytes += len(data)
        super().data_received(data)
        if self._overhead_bytes > HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431)

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= HEADERS:
            self._stop_parsing(431)
        if name.lower() == b"transfer-encoding" and value.strip().lower() != b"chunked":
            self._stop_parsing(501)  # the server cannot decode the body (RFC 9112, section 6.1)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._head_is_complete = True
        self._overhead_bytes = 0
        self._cancel_head_deadline()

    def on_body(self, body: bytes) -> None:
        self._overhead_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._overhead_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refuses, and close the connection."""
        self._refuse(self._refusal_status)

    def _await_head(self) -> None:
        self._head_deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _await_reading(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        self._answer_deadline = self.loop.call_later(self.answer_seconds, self._require_reading, unsent)

    def _require_reading(self, unsent_before: int) -> None:
        if self.transport.get_write_buffer_size() > unsent_before - READ_BYTES:
            self.transport.abort()
        else:
            self._await_reading()

    def _cancel_head_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()

    def _stop_parsing(self, status: int) -> None:
        self._refusal_status = status
        raise ValueError(STATUS_LINE[status])  # httptools stops parsing, and uvicorn calls `send_400_response`

    def _refuse(self, status: int) -> None:
        """Close the connection, with an answer unless the application's answer to this request has begun."""
        if self._head_is_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not (self._head_is_complete and self.cycle.response_started):
            self.transport.write(STATUS_LINE[status] + REFUSAL)
        self.transport.close()
