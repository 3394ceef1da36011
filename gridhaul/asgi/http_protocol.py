"""The HTTP/1.1 of both web services, below the application.

uvicorn takes the class as `--http gridhaul.asgi.http_protocol:BoundedHttp` or from UVICORN_HTTP.
"""

from gridhaul.asgi.body_buffer import BodyBuffer
from gridhaul.asgi.connection_limits import ConnectionLimits


class BoundedHttp(ConnectionLimits, BodyBuffer):
    """uvicorn's HTTP/1.1 with limits on a request's head, a larger buffer for its body, and no trailer fields.

    uvicorn appends the trailer fields of a chunked request to the header fields in the ASGI scope, where a trailer
    `Authorization` or `X-Forwarded-For` would count as a header. RFC 9110, section 6.5.1, forbids that, so trailer
    fields are dropped.
    """

    _head_is_complete = False

    def on_message_begin(self) -> None:
        self._head_is_complete = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_is_complete:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_is_complete = True
        super().on_headers_complete()
