"""HTTP clients of servers on this machine. They trust no certificates: loading some takes longer than a small file."""

import ssl

import httpx2

ANSWER_SECONDS = 60
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def client(url: str, token: str | None = None) -> httpx2.Client:
    return httpx2.Client(
        base_url=url, headers=_headers(token), timeout=ANSWER_SECONDS, verify=NO_AUTHORITIES, trust_env=False
    )


def async_client(url: str, token: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=url, headers=_headers(token), timeout=ANSWER_SECONDS, verify=NO_AUTHORITIES, trust_env=False
    )


def _headers(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}
