"""uvicorn's HTTP/1.1 with bounds on what it collects, and how long, before anybody of ours sees a request.

httptools takes a request line, headers and trailers of any length and number, and so does uvicorn: one line without an
end fills the memory, and a client that says nothing is waited for without an end.
Given to uvicorn as `--http gridhaul.asgi.http_protocol:BoundedHttp` or in UVICORN_HTTP.
"""

import asyncio
from typing import Self

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

PENDING_BYTES = 512 * 1024  # more than twice what one read can bring: no request within the settings comes to it
HEADERS = 1000  # a short one takes thirty times its length
BODY_BYTES = 1 << 20  # of a body, before the connection waits for the application to take them
PIECE_BYTES = 4096  # smaller ones are copied: as objects of their own they would take many times their length
REFUSAL = b"content-length: 0\r\nconnection: close\r\n\r\n"


class _Pieces:
    """What came of a body and was not taken yet: joined when it is. uvicorn's `bytearray` copies three times."""

    def __init__(self) -> None:
        self._pieces: list[bytes | bytearray] = []
        self._length = 0

    def __iadd__(self, piece: bytes) -> Self:
        if len(piece) >= PIECE_BYTES:
            self._pieces.append(piece)
        elif self._pieces and isinstance(self._pieces[-1], bytearray):
            self._pieces[-1] += piece
        else:
            self._pieces.append(bytearray(piece))
        self._length += len(piece)
        return self

    def __len__(self) -> int:
        return self._length

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces)  # a single large one is given on as it is


class BoundedHttp(HttpToolsProtocol):
    """Ends a connection that sends more than the bounds without coming to the end of its headers or to a body."""

    head_seconds = 30.0  # from the connection, or from the first byte of a further request, to the end of the headers
    _pending_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._stop_waiting()
        self._await_headers()
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
            raise ValueError("too many headers")  # httptools stops, and uvicorn asks for the answer
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._pending_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._pending_bytes = 0
        if not self.cycle.body:
            self.cycle.body = _Pieces()  # type: ignore[assignment] # uvicorn adds to it, and makes bytes of it
        super().on_body(body)
        if len(self.cycle.body) <= BODY_BYTES:  # uvicorn stops at 64 KiB, and wakes the application for each
            self.flow.resume_reading()

    def on_message_complete(self) -> None:
        self._pending_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._pending_bytes > PENDING_BYTES:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _await_headers(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _refuse(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(STATUS_LINE[431] + REFUSAL)
        self.transport.close()
