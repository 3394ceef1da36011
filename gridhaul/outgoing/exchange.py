"""Tells whether a request on a kept connection may be repeated, because the server may never have seen it.

A server closes a connection that was idle for a while: Apache, lighttpd and uvicorn after 5 s, nginx after 65 to 75 s.
KEPT_SECONDS is shorter, so that this client usually closes first. That costs a new connection after each longer pause.
If a server closes even earlier, or stops, the next request may leave at the same moment. The connection then ends
without a byte of an answer, and the request can be repeated on a new connection (RFC 9110, 9.2.2; RFC 9112, 9.3.1).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import httpx2

KEPT_SECONDS = 2.0  # how long an unused connection stays open
# The methods that are idempotent, and MKCOL: a repeat that finds the folder is refused as if somebody else had made it.
REPEATABLE = frozenset({"DELETE", "GET", "HEAD", "MKCOL", "OPTIONS", "PROPFIND", "PUT"})


@dataclass(kw_only=True, slots=True)
class Exchange:
    """The facts that are known of the connection that carries one request."""

    has_new_connection: bool = False
    is_answered: bool = False  # True once a byte of an answer has arrived

    def met_a_close(self, request: httpx2.Request, error: httpx2.TransportError) -> bool:
        """Return whether the request may be repeated, because its kept connection ended without a byte of an answer."""
        has_ended = isinstance(error, (httpx2.NetworkError, httpx2.RemoteProtocolError))
        return has_ended and request.method in REPEATABLE and not self.has_new_connection and not self.is_answered


_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


@contextmanager
def watched() -> Iterator[Exchange]:
    """Watch the one request that this task or thread sends meanwhile, over connections that report to this module."""
    exchange = Exchange()
    token = _current.set(exchange)
    try:
        yield exchange
    finally:
        _current.reset(token)


def connection_is_made() -> None:
    """Note that the current request makes its own connection."""
    if exchange := _current.get():
        exchange.has_new_connection = True


def bytes_arrived(count: int) -> None:
    """Note that `count` bytes of an answer to the current request have arrived; 0 at the end of the connection."""
    if count and (exchange := _current.get()):
        exchange.is_answered = True
