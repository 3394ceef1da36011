"""One request of a connection at a time: a request that arrives before the previous answer is complete waits unparsed.

uvicorn parses everything that it receives, so 256 KiB of short requests would become 14,000 queued requests at once.
"""

import asyncio

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gridhaul.asgi.lingering_close import LingeringTransport

# After this many consecutive requests that arrived before the previous answer was complete, the connection is closed.
PIPELINED_REQUESTS = 100
# At most this much of a chunked body is parsed before other connections get a turn, because each chunk costs a callback
# and a chunk may have one byte.
CHUNKED_BYTES = 16 * 1024
HEAD_END = b"\r\n\r\n"  # also the end of every chunked body


class HeldFlow(FlowControl):
    """uvicorn's flow control, which reads nothing more while received bytes are held unparsed, or wait for the app."""

    _holds = False
    _is_full = False  # uvicorn has paused reading, because the application has not taken the parsed bytes

    def hold(self) -> None:
        self._holds = True
        self.apply()

    def release(self) -> None:
        self._holds = False

    def pause_reading(self) -> None:
        self._is_full = True
        self.apply()

    def resume_reading(self) -> None:
        self._is_full = False
        self.apply()

    def apply(self) -> None:
        """Read, or pause: whatever the two reasons for a pause ask for."""
        if self._holds or self._is_full:
            super().pause_reading()
        else:
            super().resume_reading()


class OneAtATime(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which parses a request only after the previous answer is complete.

    Bytes that arrive earlier are held unparsed, and the connection is not read meanwhile. A client that is answered
    before its whole request has arrived, or that sends PIPELINED_REQUESTS too early, gets `Connection: close`.

    No request to change the protocol is granted (RFC 9110, section 7.8). llhttp expects no body after such a request
    and would parse the body as the next request, so this class takes the body itself.
    """

    flow: HeldFlow
    transport: LingeringTransport
    _held = b""  # received and not parsed
    _last_bytes = b""  # the last three parsed bytes: the end of a head may be spread over two reads
    _body_left = 0  # bytes of a body with Content-Length that have not arrived yet
    _is_chunked = False
    _takes_body = False  # True: the parser expects no body, because the request has the field Upgrade, or is a CONNECT
    _is_whole = True  # False: a request has arrived in part
    _keeps_alive = False  # True: the connection stays open if the answer comes after the end of the request
    _pipelined = 0  # consecutive requests that arrived too early

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(LingeringTransport(transport, self.loop, self._may_send))
        self.flow = HeldFlow(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._held = b""
        super().connection_lost(exc)
        self.transport.connection_lost()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            self.transport.discard(len(data))
        elif self._held or self._is_answering():
            self._hold(self._held + data)
        else:
            self._parse(data)

    def on_message_begin(self) -> None:
        self._is_whole = False
        super().on_message_begin()
        # An application may close a connection without an answer, once another connection has taken its place.
        self.scope["extensions"] = {"gridhaul.close": {"abort": self.transport.abort}}

    def on_headers_complete(self) -> None:
        fields = dict(self.headers)
        self._is_chunked = b"transfer-encoding" in fields
        self._takes_body = self.parser.should_upgrade()
        if self._takes_body and self._is_chunked:
            raise ValueError("the body would be parsed as a request")  # uvicorn calls `send_400_response`
        if self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # HTTP/1.0 has no answer 100 (RFC 9110, section 10.1.1)
        super().on_headers_complete()
        self._body_left = 0 if self._is_chunked else int(fields.get(b"content-length", 0))
        self._keeps_alive = self.cycle.keep_alive and self._pipelined < PIPELINED_REQUESTS
        self.cycle.keep_alive = False  # an answer that comes before the end of the request ends the connection

    def on_message_complete(self) -> None:
        if self._body_left:  # llhttp calls this after the head of a request whose body this class takes
            return
        self._is_whole, self._is_chunked, self._takes_body = True, False, False
        if not self.cycle.response_started:
            self.cycle.keep_alive = self._keeps_alive
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._held:
            self._pipelined = 0
        elif not self.transport.is_closing():
            self._pipelined += 1
            self.loop.call_soon(self._parse_held)

    def shutdown(self) -> None:
        self._keeps_alive = False
        super().shutdown()

    def _should_upgrade(self) -> bool:
        return False

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: any client may ask."""

    def _parse(self, data: bytes) -> None:
        """Parse up to the end of one request, or of one piece of a chunked body, and hold the rest."""
        if self._is_whole:
            # Drop empty lines before a request (RFC 9112, 2.2), because uvicorn ends its keep-alive timer for them.
            data = data.lstrip(b"\r\n")
        at = 0
        while at < len(data) and not self.transport.is_closing():
            if self._is_answering() or (self._is_chunked and at >= CHUNKED_BYTES):
                self._hold(data[at:])
                return
            end = self._end_of_piece(data, at)
            self._parse_piece(data[at:end])
            at = end

    def _parse_piece(self, piece: bytes) -> None:
        self._last_bytes = (self._last_bytes + piece[-3:])[-3:]
        is_body, self._body_left = self._body_left > 0, max(0, self._body_left - len(piece))
        if not (is_body and self._takes_body):
            super().data_received(piece)
            return
        self.on_body(piece)
        if not self._body_left:
            self.on_message_complete()

    def _end_of_piece(self, data: bytes, at: int) -> int:
        """Return the index in `data` up to which the parser may go: at most the end of one head or of one body."""
        if self._body_left:
            return min(at + self._body_left, len(data))
        begun = (self._last_bytes + data[at : at + 3]).find(HEAD_END)
        if begun >= 0:
            return at + begun + len(HEAD_END) - len(self._last_bytes)
        found = data.find(HEAD_END, at)
        end = found + len(HEAD_END) if found >= 0 else len(data)
        return min(end, at + CHUNKED_BYTES) if self._is_chunked else end

    def _hold(self, data: bytes) -> None:
        self._held = data
        self.flow.hold()
        if not self._is_answering():
            self.loop.call_soon(self._parse_held)

    def _parse_held(self) -> None:
        if self.transport.is_closing() or self._is_answering():
            return
        data, self._held = self._held, b""
        self.flow.release()
        self._parse(data)
        if not self._held:
            self.flow.apply()

    def _is_answering(self) -> bool:
        return self._is_whole and self.cycle is not None and not self.cycle.response_complete

    def _may_send(self) -> bool:
        return not self._is_whole or bool(self._held)
