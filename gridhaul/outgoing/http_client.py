"""The one factory of HTTP clients, which ignore the environment's proxies, follow no redirects and bound every wait."""

import ssl
from types import TracebackType

import httpcore2
import httpx2

from gridhaul.outgoing.sending import Body, Senders
from gridhaul.outgoing.tls import tls_context
from gridhaul.process.settings import ANSWER_SECONDS

CONNECT_SECONDS = 5.0
CONNECTIONS = 16
KEPT_SECONDS = 5.0  # how long an unused connection stays open
READ_BYTES = 1 << 18  # most bytes of a response in one read; large, because each read passes through six layers


def make_client(answer_seconds: float = ANSWER_SECONDS, *, tls: ssl.SSLContext | None = None) -> httpx2.AsyncClient:
    """Make a client for services and targets that may be silent for up to `answer_seconds`.

    Without `tls` the client trusts the certificate authorities that the system trusts.
    """
    httpcore2.AsyncHTTP11Connection.READ_NUM_BYTES = READ_BYTES
    return httpx2.AsyncClient(
        transport=_Transport(tls or tls_context()),
        timeout=httpx2.Timeout(answer_seconds, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
    )


class _Transport(httpx2.AsyncHTTPTransport):
    """httpx2's asynchronous transport, except that a thread sends each request whose body is a `Body`."""

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
        """Close the senders as `aclose` does: a client in `async with` calls this method instead."""
        self._senders.close()
        await super().__aexit__(kind, error, trace)


def patience(client: httpx2.AsyncClient, busy_seconds: float) -> httpx2.Timeout:
    """Return the client's timeouts, with `busy_seconds` more for a server that has long work to do before it answers.

    Only the read timeout grows.
    """
    usual = client.timeout
    read = None if usual.read is None else usual.read + busy_seconds
    return httpx2.Timeout(connect=usual.connect, read=read, write=usual.write, pool=usual.pool)
