"""The one factory of HTTP clients: no proxy from the environment, no redirects, every wait bounded."""

import httpx2

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
CONNECTIONS = 16


def make_client() -> httpx2.AsyncClient:
    """A client for services and targets."""
    return httpx2.AsyncClient(
        timeout=patience(),
        limits=httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
        follow_redirects=False,
        trust_env=False,
    )


def patience(busy_seconds: float = 0.0) -> httpx2.Timeout:
    """The usual waits, and so much more for the answer of a server that has something long to do."""
    return httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, read=ANSWER_SECONDS + busy_seconds)
