"""The one factory of HTTP clients: no proxy from the environment, no redirects, every wait bounded."""

import ssl
from types import TracebackType

import httpcore2
import httpx2

from gridhaul.outgoing.sending import Body, Senders
from gridhaul.outgoing.tls import tls_context
from gridhaul.process.settings import ANSWER_SECONDS

CONNECT_SECONDS = 5.0
CONNECTIONS = 16
KEPT_SECONDS = 5.0  # an unused connection
READ_BYTES = 1 << 18  # of an answer at once; each takes a way through six layers


def make_client(answer_seconds: float = ANSWER_SECONDS, *, tls: ssl.SSLContext | None = None) -> httpx2.AsyncClient:
    """A client for services and targets, which may be silent for so long. Without `tls` the system's trust counts."""
    httpcore2.AsyncHTTP11Connection.READ_NUM_BYTES = READ_BYTES
    return httpx2.AsyncClient(
        transport=_Transport(tls or tls_context()),
        timeout=httpx2.Timeout(answer_seconds, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
    )


class _Transport(httpx2.AsyncHTTPTransport):
    """httpx2's own, but for a `Body`: that is sent in a thread."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        limits = httpx2.Limits(
            max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=KEPT_SECONDS
        )
        super().__init__(verify=tls, trust_env=False, limits=limits)
        self._senders = Senders(tls, at_once=CONNECTIONS, kept_seconds=KEPT_SECONDS)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if isinstance(request.stream, Body):
            return await self._senders.send(request, request.stream)
        return await super().handle_async_request(request)

    async def aclose(self) -> None:
        self._senders.close()
        await super().aclose()

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """Of a client that is used with `async with`."""
        self._senders.close()
        await super().__aexit__(kind, error, trace)


def patience(client: httpx2.AsyncClient, busy_seconds: float) -> httpx2.Timeout:
    """The client's waits, and so much more for the answer of a server that has something long to do."""
    usual = client.timeout
    read = None if usual.read is None else usual.read + busy_seconds
    return httpx2.Timeout(connect=usual.connect, read=read, write=usual.write, pool=usual.pool)
