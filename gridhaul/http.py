"""The one factory of HTTP clients: no proxy from the environment, no redirects, every wait bounded."""

import ssl

import httpcore2
import httpx2

from gridhaul.network import ThreadedWrites
from gridhaul.settings import ANSWER_SECONDS
from gridhaul.tls import tls_context

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
    """httpx2's transport over connections of ours."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=KEPT_SECONDS,
            network_backend=ThreadedWrites(),
        )


def patience(client: httpx2.AsyncClient, busy_seconds: float) -> httpx2.Timeout:
    """The client's waits, and so much more for the answer of a server that has something long to do."""
    usual = client.timeout
    read = None if usual.read is None else usual.read + busy_seconds
    return httpx2.Timeout(connect=usual.connect, read=read, write=usual.write, pool=usual.pool)
