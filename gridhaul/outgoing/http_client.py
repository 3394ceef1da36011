"""The one factory of HTTP clients, which ignore the environment's proxies, follow no redirects and bound every wait."""

import ssl
from types import TracebackType

import httpcore2
import httpx2

from gridhaul.outgoing.exchange import KEPT_SECONDS, watched
from gridhaul.outgoing.sending import Body, Senders
from gridhaul.outgoing.tls import tls_context
from gridhaul.outgoing.watched_backend import WatchedBackend
from gridhaul.process.settings import ANSWER_SECONDS

CONNECT_SECONDS = 5.0
CONNECTIONS = 16
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
    """httpx2's asynchronous transport, except that a thread sends each request whose body is a `Body`.

    A request whose kept connection ends without a byte of an answer is sent once more, if a repeat is safe.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=KEPT_SECONDS,
            network_backend=WatchedBackend(),
        )
        # Repeats need a pool that keeps no connection: another kept one may be closed, too.
        once = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=0)
        self._repeats = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=once)
        self._senders = Senders(tls, at_once=CONNECTIONS, kept_seconds=KEPT_SECONDS)
        self._is_closed = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if isinstance(request.stream, Body):
            return await self._senders.send(request, request.stream)
        with watched() as exchange:
            try:
                return await super().handle_async_request(request)
            except httpx2.TransportError as error:
                is_whole = isinstance(request.stream, httpx2.ByteStream)  # no other body can be read twice
                if self._is_closed or not is_whole or not exchange.met_a_close(request, error):
                    raise
        return await self._repeats.handle_async_request(request)

    async def aclose(self) -> None:
        self._is_closed = True
        self._senders.close()
        await super().aclose()
        await self._repeats.aclose()

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """Close everything as `aclose` does: a client in `async with` calls this method instead."""
        await self.aclose()


def patience(client: httpx2.AsyncClient, busy_seconds: float) -> httpx2.Timeout:
    """Return the client's timeouts, with `busy_seconds` more for a server that has long work to do before it answers.

    Only the read timeout grows.
    """
    usual = client.timeout
    read = None if usual.read is None else usual.read + busy_seconds
    return httpx2.Timeout(connect=usual.connect, read=read, write=usual.write, pool=usual.pool)
