"""Accounts for tests of the page: each test makes its own, and signs in to a tab of its own."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from secrets import token_hex

import httpx2
from playwright.async_api import Browser, Page

from tests.journeys.operator import Operator
from tests.page.browser import open_tab, sign_in


def new_account(operator: Operator, scopes: Sequence[str], **settings: object) -> tuple[str, str]:
    """Make an account with these scopes, and return its name and its password."""
    username, password = f"user-{token_hex(4)}", token_hex(12)
    body = {"username": username, "password": password, "scopes": list(scopes), **settings}
    answer = operator.http.post("/accounts", json=body)
    assert answer.status_code == 201, answer.text
    return username, password


@asynccontextmanager
async def tab_of(browser: Browser, operator: Operator, username: str, password: str) -> AsyncIterator[Page]:
    """Yield a tab in a new profile in which the account is signed in."""
    async with open_tab(browser, operator.system.url) as tab:
        await sign_in(tab, username, password)
        yield tab


@contextmanager
def client_of(operator: Operator, username: str) -> Iterator[Operator]:
    """Yield a client of the api with a key of the account."""
    key = operator.http.post("/keys", json={"name": "tests", "account": username}).json()["key"]
    client = Operator(operator.system)
    client.http.headers["Authorization"] = f"Bearer {key}"
    yield client
    client.close()


def with_key(operator: Operator, key: str, path: str) -> httpx2.Response:
    """Return the answer of the api to a request with this key."""
    return httpx2.get(f"{operator.system.url}{path}", headers={"Authorization": f"Bearer {key}"}, trust_env=False)
