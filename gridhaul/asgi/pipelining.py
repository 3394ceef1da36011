"""The requests of one connection, one after another: a request that comes too early waits unparsed.

uvicorn parses all that it receives. 256 KiB of short requests would become 14,000 of its tasks at once.
"""

import asyncio

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gridhaul.asgi.lingering_close import LingeringTransport

PIPELINED_REQUESTS = 100  # so many requests in a row may come before the answer to the one before them
CHUNKED_BYTES = 16 * 1024  # of a chunked body, so many bytes are parsed at once: chunks may have one byte each
HEAD_END = b"\r\n\r\n"  # also the end of every chunked body


class HeldFlow(FlowControl):
    """uvicorn's flow control, which reads nothing more while received bytes wait."""

    holds = False

    def hold(self) -> None:
        self.holds = True
        self.pause_reading()

    def resume_reading(self) -> None:
        if not self.holds:
            super().resume_reading()


class OneAtATime(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which parses a request only after the answer to the one before.

    What arrives earlier is kept as it is, at most about what one read returns: the connection is not read meanwhile. A
    client that always sends too early, or is answered before its request has arrived whole, gets `Connection: close`.
    """

    flow: HeldFlow
    transport: LingeringTransport
    _held = b""
    _last_bytes = b""  # the last three that were parsed: the end of a head may be spread over two reads
    _body_left = 0  # bytes of a body with Content-Length that are still to come
    _is_chunked = False
    _is_whole = True  # no request has arrived in part
    _keeps_alive = False  # as the request's head wishes
    _pipelined = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(LingeringTransport(transport, self.loop, self._may_send))
        self.flow = HeldFlow(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._held = b""
        super().connection_lost(exc)
        self.transport.lost()

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

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        fields = dict(self.headers)
        self._is_chunked = b"transfer-encoding" in fields
        self._body_left = 0 if self._is_chunked else int(fields.get(b"content-length", 0))
        self._keeps_alive = self.cycle.keep_alive and self._pipelined < PIPELINED_REQUESTS
        self.cycle.keep_alive = False  # an answer that comes before the end of the request ends the connection

    def on_message_complete(self) -> None:
        self._is_whole, self._is_chunked, self._body_left = True, False, 0
        if not self.cycle.response_started:
            self.cycle.keep_alive = self._keeps_alive
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._held:
            self._pipelined = 0
        elif not self.transport.is_closing():
            self._pipelined += 1
            self.loop.call_soon(self._go_on)

    def shutdown(self) -> None:
        self._keeps_alive = False
        super().shutdown()

    def _parse(self, data: bytes) -> None:
        """Parse up to the end of one request, and hold the rest."""
        at = 0
        while at < len(data) and not self.transport.is_closing():
            if at and (self._is_chunked or self._is_answering()):
                self._hold(data[at:])
                return
            end = self._end_of_piece(data, at)
            piece = data[at:end]
            self._body_left -= min(self._body_left, len(piece))
            self._last_bytes = (self._last_bytes + piece[-3:])[-3:]
            super().data_received(piece)
            at = end

    def _end_of_piece(self, data: bytes, at: int) -> int:
        """Return up to where `data` can be parsed: no further than one request, or one head, or its body."""
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
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self.transport.is_closing() or self._is_answering():
            return
        data, self._held, self.flow.holds = self._held, b"", False
        self._parse(data)
        if not self._held:
            self.flow.resume_reading()

    def _is_answering(self) -> bool:
        return self._is_whole and self.cycle is not None and not self.cycle.response_complete

    def _may_send(self) -> bool:
        return not self._is_whole or bool(self._held)
