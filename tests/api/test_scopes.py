"""Every endpoint names its scope and is closed without it. The OpenAPI document says which endpoints exist."""

import re
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import httpx2
import pytest

from api.app import create_app
from api.authentication import OPEN_PATHS
from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import Account, NewAccount, Scope
from tests.api.service import authenticator, serving
from tests.contracts.ports import LONG_LEASE_SECONDS, mongo_ports

OWN = {
    ("GET", "/account"),
    ("PUT", "/account/password"),
    ("GET", "/keys"),
    ("POST", "/keys"),
    ("DELETE", "/keys/{key_id}"),
}
OFFERS = ("OPTIONS", "/uploads")  # what tus clients can do here, which everybody may ask
BODIES: dict[str, Any] = {
    "/upload/prepare": {"file_path": "/srv/x"},
    "/upload/{file_id}/finalize": {"target": "archive"},
    "/checks": {},
    "/accounts": {"username": "bob", "scopes": []},
    "/accounts/{username}": {},
    "/uploads/chunks": {"name": "x", "length": 1},
    "/uploads/{upload_id}/complete": {},
}
STRANGE = {"Content-Range": "nonsense", "Last-Event-ID": "nonsense"}  # no file is stored, and no stream begins


@cache
def operations() -> dict[tuple[str, str], list[Scope]]:
    """Return (method, path) of every endpoint that wants a token, with its scopes."""
    found = {}
    for path, methods in create_app().openapi()["paths"].items():
        for method, operation in methods.items():
            if path not in OPEN_PATHS and (method.upper(), path) != OFFERS:
                scopes = {scope for way in operation["security"] for scope in way.get("Login", ())}
                found[method.upper(), path] = [Scope(scope) for scope in scopes]
    return found


def test_everything_but_the_own_account_names_one_scope() -> None:
    assert {where for where, scopes in operations().items() if not scopes} == OWN
    assert all(len(scopes) == 1 for where, scopes in operations().items() if where not in OWN)


@pytest.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    accounts = MongoAccounts(database)
    await accounts.create(NewAccount(username="alice", scopes=tuple(Scope)))
    ports = mongo_ports(database, lease_seconds=LONG_LEASE_SECONDS)
    async with serving(ports, accounts=accounts) as api:
        api.http.headers.pop("Authorization")
        yield api.http


@pytest.fixture
async def alice(database: Database, http: httpx2.AsyncClient) -> Account:
    found = await MongoAccounts(database).named("alice")
    assert found is not None
    return found


async def test_without_its_scope_each_is_forbidden_and_with_it_alone_it_is_not(
    http: httpx2.AsyncClient, database: Database, alice: Account
) -> None:
    async def ask(method: str, path: str, scopes: frozenset[Scope]) -> httpx2.Response:
        token = authenticator(MongoAccounts(database)).access_token(alice, scopes)
        url = re.sub(r"\{\w+\}", "0" * 24, path)
        headers = {"Authorization": f"Bearer {token}", **(STRANGE if path.startswith(("/named/", "/events")) else {})}
        return await http.request(method, url, json=BODIES.get(path), headers=headers)

    for (method, path), scopes in operations().items():
        if scopes:
            refused = await ask(method, path, frozenset(Scope).difference(scopes))
            assert refused.status_code == 403, (method, path)
            assert method == "HEAD" or refused.json()["code"] == "forbidden", (method, path)
            allowed = await ask(method, path, frozenset(scopes))
            assert allowed.status_code not in (401, 403), (method, path)


async def test_without_a_token_each_is_closed_whatever_is_sent(http: httpx2.AsyncClient) -> None:
    malformed: Any = {"content": b"{", "headers": {"Content-Type": "application/json"}}
    for method, path in operations():
        for request in ({}, {"json": BODIES.get(path)}, malformed):
            answer = await http.request(method, path, **request)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), (method, path)


async def test_everybody_may_ask_what_tus_clients_can_do_unless_with_a_wrong_token(http: httpx2.AsyncClient) -> None:
    for path in ("/uploads", f"/uploads/{'0' * 56}"):
        offered = await http.options(path)
        assert (offered.status_code, offered.headers["Tus-Version"]) == (204, "1.0.0")
        assert "Tus-Max-Size" not in offered.headers
        assert (await http.options(path, headers={"Authorization": "Bearer wrong"})).status_code == 401
    for path in ("/files", "/uploads-of-others", "/named/x"):
        assert (await http.options(path)).status_code == 401, path


async def test_unknown_paths_are_closed_too(http: httpx2.AsyncClient) -> None:
    for path in ("//", "/nowhere", "/auth/", "/auth/token/x", "/docs/", "//healthz", "/healthz/", "/HEALTHZ"):
        url = str(http.base_url).rstrip("/") + path  # `//healthz` alone would name a host
        assert (await http.get(url)).status_code == 401, path
