"""The HTTP/1.1 of both web services, below the application.

uvicorn takes the class as `--http gridhaul.asgi.http_protocol:BoundedHttp` or from UVICORN_HTTP.
"""

from gridhaul.asgi.body_buffer import BodyBuffer
from gridhaul.asgi.connection_limits import ConnectionLimits
from gridhaul.asgi.pipelining import OneAtATime


class BoundedHttp(OneAtATime, ConnectionLimits, BodyBuffer):
    """uvicorn's HTTP/1.1 with one request at a time, limits, a larger buffer for a body, and no trailer fields.

    uvicorn appends the trailer fields of a chunked request to the header fields in the ASGI scope, where a trailer
    `Authorization` or `X-Forwarded-For` would count as a header. RFC 9110, section 6.5.1, forbids that, so trailer
    fields are dropped.
    """

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_is_complete:
            super().on_header(name, value)
