"""The HTTP/1.1 of both web services, below the application.

uvicorn takes the class as `--http gridhaul.asgi.http_protocol:BoundedHttp` or from UVICORN_HTTP.
"""

from gridhaul.asgi.body_buffer import BodyBuffer
from gridhaul.asgi.connection_limits import HEADERS, ConnectionLimits
from gridhaul.asgi.pipelining import OneAtATime
from gridhaul.asgi.stopping import StopNotice
from gridhaul.asgi.trailers import TRAILERS


class BoundedHttp(StopNotice, OneAtATime, ConnectionLimits, BodyBuffer):
    """uvicorn's HTTP/1.1 with one request at a time, limits, a larger buffer for a body, and trailer fields apart.

    uvicorn appends the trailer fields of a chunked request to the header fields in the ASGI scope, where a trailer
    `Authorization` or `X-Forwarded-For` would count as a header. RFC 9110, section 6.5.1, forbids that, so trailer
    fields are kept in an extension of the scope (`gridhaul.asgi.trailers`).
    """

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._trailers: list[tuple[bytes, bytes]] = []
        self.scope["extensions"][TRAILERS] = {"fields": self._trailers}

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_is_complete:
            super().on_header(name, value)
            return
        if len(self._trailers) >= HEADERS:
            self._stop_parsing(431)
        self._trailers.append((name.lower(), value))
