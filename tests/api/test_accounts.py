"""Accounts and keys, as admins and their owners see and change them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from gridhaul.storage.accounts.accounts import KEYS_MOST, MongoAccounts
from gridhaul.storage.codec import new_id
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import ApiKey, NewAccount, Scope
from gridhaul.transfer.credentials import Credential, CredentialKind
from tests.api.service import authenticator, serving
from tests.contracts.ports import LONG_LEASE_SECONDS, mongo_ports

ALL = tuple(Scope)
SOME = (Scope.READ, Scope.PREPARE)


@pytest.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield a client without a token. The admin `root` and the account `alice` exist, both without a password."""
    accounts = MongoAccounts(database)
    for username, scopes in (("root", ALL), ("alice", SOME)):
        await accounts.create(NewAccount(username=username, scopes=scopes))
    async with serving(mongo_ports(database, lease_seconds=LONG_LEASE_SECONDS), accounts=accounts) as api:
        api.http.headers.pop("Authorization")
        yield api.http


@pytest.fixture
async def root(database: Database) -> dict[str, str]:
    return await logged_in(database, "root")


@pytest.fixture
async def alice(database: Database) -> dict[str, str]:
    return await logged_in(database, "alice")


async def logged_in(database: Database, username: str) -> dict[str, str]:
    accounts = MongoAccounts(database)
    account = await accounts.named(username)
    assert account is not None
    token = authenticator(accounts).access_token(account, frozenset(account.scopes))
    return {"Authorization": f"Bearer {token}"}


def by_key(made: httpx2.Response) -> dict[str, str]:
    assert made.status_code == 201, made.text
    return {"Authorization": f"Bearer {made.json()['key']}"}


async def test_account_is_made_seen_and_changed(http: httpx2.AsyncClient, root: dict[str, str]) -> None:
    body = {"username": "bob", "scopes": ["read"], "roots": ["/srv/bob"], "targets": ["archive"], "quota_bytes": 7}
    made = await http.post("/accounts", json=body, headers=root)
    assert (made.status_code, made.headers["location"]) == (201, "/accounts/bob")
    seen = (await http.get("/accounts/bob", headers=root)).json()
    assert {name: seen[name] for name in body} == body
    assert (seen["used_bytes"], seen["has_password"], seen["disabled"]) == (0, False, False)
    changed = (await http.patch("/accounts/bob", json={"roots": None, "disabled": True}, headers=root)).json()
    assert (changed["roots"], changed["targets"], changed["disabled"]) == (None, ["archive"], True)


@pytest.mark.parametrize(
    ("more", "answer"),
    [
        ({"username": "alice"}, (409, "account_exists")),
        ({"username": "../x"}, (422, "invalid_value")),
        ({"username": "Bob"}, (422, "invalid_value")),
        ({"scopes": ["everything"]}, (422, "invalid_value")),
        ({"scopes": None}, (422, "invalid_value")),
        ({"roots": ["/etc"]}, (422, "invalid_value")),
        ({"roots": ["/srv/../etc"]}, (422, "invalid_value")),
        ({"roots": ["/srv-evil"]}, (422, "invalid_value")),
        ({"roots": ["srv"]}, (422, "path_invalid")),
        ({"roots": ["/srv/a\0b"]}, (422, "path_invalid")),
        ({"targets": ["nowhere"]}, (422, "target_unknown")),
        ({"password": "short"}, (422, "invalid_value")),
        ({"quota_bytes": -1}, (422, "invalid_value")),
        ({"is_admin": True}, (422, "invalid_value")),
    ],
)
async def test_account_that_cannot_be_is_refused(
    http: httpx2.AsyncClient, root: dict[str, str], more: dict[str, Any], answer: tuple[int, str]
) -> None:
    refused = await http.post("/accounts", json={"username": "bob", "scopes": ["read"]} | more, headers=root)
    assert (refused.status_code, refused.json()["code"]) == answer
    assert (await http.get("/accounts/bob", headers=root)).status_code == 404


@pytest.mark.parametrize("spelled", ["/srv/bob/", "/srv//bob", "/srv/./bob"])
async def test_root_is_kept_as_paths_are_compared_with_it(
    http: httpx2.AsyncClient, root: dict[str, str], spelled: str
) -> None:
    body = {"username": "bob", "scopes": [], "roots": [spelled]}
    assert (await http.post("/accounts", json=body, headers=root)).json()["roots"] == ["/srv/bob"]


async def test_account_can_be_made_disabled(http: httpx2.AsyncClient, root: dict[str, str]) -> None:
    made = await http.post("/accounts", json={"username": "bob", "scopes": [], "disabled": True}, headers=root)
    assert (made.status_code, made.json()["disabled"]) == (201, True)


async def test_no_account_locks_itself_out(http: httpx2.AsyncClient, root: dict[str, str]) -> None:
    for change in ({"disabled": True}, {"scopes": ["read"]}):
        assert (await http.patch("/accounts/root", json=change, headers=root)).status_code == 409
    assert (await http.patch("/accounts/root", json={"scopes": ["admin"]}, headers=root)).status_code == 200


async def test_accounts_are_for_admins(http: httpx2.AsyncClient, alice: dict[str, str]) -> None:
    for method, path in (("GET", "/accounts"), ("GET", "/accounts/root"), ("PATCH", "/accounts/alice")):
        refused = await http.request(method, path, headers=alice, json={} if method == "PATCH" else None)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    own = (await http.get("/account", headers=alice)).json()
    assert (own["username"], own["scopes"]) == ("alice", ["read", "prepare"])


async def test_accounts_are_listed_by_name_page_by_page(http: httpx2.AsyncClient, root: dict[str, str]) -> None:
    first = (await http.get("/accounts", params={"limit": 1}, headers=root)).json()
    assert ([one["username"] for one in first["accounts"]], first["next_cursor"]) == (["alice"], "alice")
    rest = (await http.get("/accounts", params={"cursor": "alice"}, headers=root)).json()
    assert ([one["username"] for one in rest["accounts"]], rest["next_cursor"]) == (["root"], None)


async def test_key_has_at_most_the_scopes_of_its_account(http: httpx2.AsyncClient, alice: dict[str, str]) -> None:
    assert (await http.post("/keys", json={"name": "k", "scopes": ["admin"]}, headers=alice)).status_code == 403
    key = by_key(await http.post("/keys", json={"name": "k", "scopes": ["prepare"]}, headers=alice))
    assert (await http.get("/files", headers=key)).status_code == 403
    assert (await http.get("/account", headers=key)).status_code == 200


async def test_key_makes_keys_only_for_an_admin(
    http: httpx2.AsyncClient, alice: dict[str, str], root: dict[str, str]
) -> None:
    key = by_key(await http.post("/keys", json={"name": "k"}, headers=alice))
    assert (await http.post("/keys", json={"name": "more"}, headers=key)).status_code == 403
    admin = by_key(await http.post("/keys", json={"name": "k"}, headers=root))
    for_alice = await http.post("/keys", json={"name": "for alice", "account": "alice"}, headers=admin)
    assert (await http.get("/account", headers=by_key(for_alice))).json()["username"] == "alice"


async def test_key_ends_itself_and_no_other_one(
    http: httpx2.AsyncClient, alice: dict[str, str], root: dict[str, str]
) -> None:
    first, second, admin = [
        await http.post("/keys", json={"name": "k"}, headers=caller) for caller in (alice, alice, root)
    ]
    other = f"/keys/{second.json()['key_id']}"
    assert (await http.delete(other, headers=by_key(first))).status_code == 404
    assert (await http.delete(f"/keys/{first.json()['key_id']}", headers=by_key(first))).status_code == 204
    assert (await http.delete(other, headers=by_key(admin))).status_code == 204


async def test_keys_of_others_are_unknown(
    http: httpx2.AsyncClient, alice: dict[str, str], root: dict[str, str]
) -> None:
    roots_key = (await http.post("/keys", json={"name": "k"}, headers=root)).json()["key_id"]
    assert (await http.get("/keys", headers=alice)).json()["keys"] == []
    assert (await http.get("/keys", params={"account": "root"}, headers=alice)).status_code == 404
    assert (await http.post("/keys", json={"name": "k", "account": "root"}, headers=alice)).status_code == 404
    assert (await http.delete(f"/keys/{roots_key}", headers=alice)).status_code == 404
    assert (await http.get("/keys", headers=root)).json()["keys"][0]["key_id"] == roots_key


async def test_expired_key_is_refused(http: httpx2.AsyncClient, alice: dict[str, str], database: Database) -> None:
    key = by_key(await http.post("/keys", json={"name": "k", "expires_in_days": 1}, headers=alice))
    assert (await http.get("/account", headers=key)).status_code == 200
    expired_now = [
        {"$set": {"keys": {"$map": {"input": "$keys", "in": {"$mergeObjects": ["$$this", {"expires_at": "$$NOW"}]}}}}}
    ]
    await database["auth"].update_one({"username": "alice"}, expired_now)
    assert (await http.get("/account", headers=key)).status_code == 401


async def test_right_id_with_another_secret_is_refused(http: httpx2.AsyncClient, alice: dict[str, str]) -> None:
    made = (await http.post("/keys", json={"name": "k"}, headers=alice)).json()
    other = Credential.new(CredentialKind.API_KEY)
    forged = f"ghk_{made['key_id']}_{other.secret}"
    assert (await http.get("/account", headers={"Authorization": f"Bearer {forged}"})).status_code == 401


async def test_account_has_a_bounded_number_of_keys(http: httpx2.AsyncClient, alice: dict[str, str]) -> None:
    for n in range(KEYS_MOST):
        by_key(await http.post("/keys", json={"name": f"k{n}"}, headers=alice))
    refused = await http.post("/keys", json={"name": "one more"}, headers=alice)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_keys")


async def test_request_reads_one_key_and_no_others(database: Database) -> None:
    accounts = MongoAccounts(database)
    await accounts.create(NewAccount(username="bob", scopes=SOME))
    for _ in range(3):
        await accounts.add_key("bob", _key())
    last = (await accounts.keys("bob"))[-1]
    found = await accounts.with_key(last.id)
    assert found is not None
    assert (found.username, found.keys, found.sessions) == ("bob", (last,), ())


async def test_key_revoked_while_others_are_read_is_not_found_from_then_on(database: Database) -> None:
    """Concurrent callers share their reads; a caller who asks after the revocation gets a read that begins after it."""
    accounts = MongoAccounts(database)
    await accounts.create(NewAccount(username="bob", scopes=SOME))
    for _ in range(20):
        key = _key()
        await accounts.add_key("bob", key)
        before = [asyncio.create_task(accounts.with_key(key.id)) for _ in range(20)]
        await asyncio.sleep(0)  # let the tasks begin their read
        await accounts.revoke_key(key.id, of="bob")
        after = await asyncio.gather(*(accounts.with_key(key.id) for _ in range(20)))
        assert after == [None] * 20
        assert {found.keys[0].id for found in await asyncio.gather(*before) if found} <= {key.id}


async def test_names_and_keys_that_are_asked_for_at_once_get_their_own(database: Database) -> None:
    accounts = MongoAccounts(database)
    for username in ("bob", "eve"):
        await accounts.create(NewAccount(username=username, scopes=SOME))
    key = _key()
    await accounts.add_key("eve", key)
    asked = [accounts.named("bob"), accounts.with_key(key.id), accounts.named("eve"), accounts.named("nobody")] * 5
    found = await asyncio.gather(*asked)
    assert [one and one.username for one in found] == ["bob", "eve", "eve", None] * 5


def _key() -> ApiKey:
    now = datetime.now(UTC).replace(microsecond=0)  # MongoDB keeps milliseconds only
    return ApiKey(id=new_id(), name="k", digest="d", scopes=SOME, created_at=now)
