"""A login with an account's password, for callers without an API key."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

from gridhaul.client.client import Client
from gridhaul.client.connection import Connection, RetryBudget
from gridhaul.client.errors import ClientError
from gridhaul.client.records import LoginRecord


@contextmanager
def logged_in(
    url: str,
    *,
    username: str,
    password: str,
    patience_seconds: float,
    on_retry: Callable[[ClientError], None],
    tls: ssl.SSLContext | None = None,
) -> Iterator[Client]:
    """Yield a client for one login, which ends with the context.

    The client sends the password with each request that may need it. Raises ClientError, and ValueError if the URL is
    malformed.
    """
    budget = RetryBudget(seconds=patience_seconds, on_retry=on_retry)
    with Connection(url, None, budget, tls=tls) as anonymous:
        login = _log_in(anonymous, username, password)
        try:
            token = login["access_token"]
            with Client(
                url,
                token,
                patience_seconds=patience_seconds,
                on_retry=on_retry,
                tls=tls,
                current_password=password,
            ) as client:
                yield client
        finally:
            with suppress(ClientError):  # a login that is not revoked expires, and nobody has its token
                anonymous.post_form("/auth/revoke", token=login["refresh_token"])


def _log_in(anonymous: Connection, username: str, password: str) -> LoginRecord:
    """Log in. The request is safe to repeat: nobody can use a login whose answer was lost."""
    fields = {"grant_type": "password", "username": username, "password": password}
    return cast(LoginRecord, anonymous.post_form("/auth/token/", **fields))
