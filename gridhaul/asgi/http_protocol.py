"""uvicorn's HTTP/1.1 with a bound on what it collects before anybody of ours sees a request.

httptools takes a request line, headers and trailers of any length and number, and so does uvicorn: one line without an
end fills the memory. Given to uvicorn as `--http gridhaul.asgi.http_protocol:BoundedHttp` or in UVICORN_HTTP.
"""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

PENDING_BYTES = 512 * 1024  # more than twice what one read can bring: no request within the settings comes to it
HEADERS = 1000  # a short one takes thirty times its length
REFUSAL = b"content-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHttp(HttpToolsProtocol):
    """Ends a connection that sends more than the bounds without coming to the end of its headers or to a body."""

    _pending_bytes = 0

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

    def _refuse(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(STATUS_LINE[431] + REFUSAL)
        self.transport.close()
