"""The one factory of HTTP clients: no proxy from the environment, no redirects, every wait bounded."""

import httpx2


def make_client(*, read_timeout_seconds: float = 60.0, connections: int = 16) -> httpx2.AsyncClient:
    """A client for services and targets."""
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(connect=5.0, read=read_timeout_seconds, write=60.0, pool=60.0),
        limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
        follow_redirects=False,
        trust_env=False,
    )
