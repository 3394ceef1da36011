"""Accounts and keys, as admins and their owners see and change them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from gridhaul.storage.accounts.accounts import KEYS_MOST, MongoAccounts
from gridhaul.storage.codec import new_id
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import ApiKey, NewAccount, Scope
from gridhaul.transfer.credentials import Credential, CredentialKind
from tests.api.house import OTHER, PASSWORD
from tests.api.service import authenticator, serving
from tests.contracts.ports import LONG_LEASE_SECONDS, mongo_ports

ALL = tuple(Scope)
SOME = (Scope.READ, Scope.PREPARE)
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
CONFIRMED = {"current_password": PASSWORD}


@pytest.fixture
async def http(database: Database, password_hash: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield a client without a token. The admin `root` and the account `alice` exist, both with the same password."""
    accounts = MongoAccounts(database)
    for username, scopes in (("root", ALL), ("alice", SOME)):
        await accounts.create(NewAccount(username=username, scopes=scopes, password_hash=password_hash))
    async with serving(mongo_ports(database, lease_seconds=LONG_LEASE_SECONDS), accounts=accounts) as api:
        api.http.headers.pop("Authorization")
        yield api.http


@pytest.fixture
async def root(database: Database) -> dict[str, str]:
    return await logged_in(database, "root")


@pytest.fixture
async def alice(database: Database) -> dict[str, str]:
    return await logged_in(database, "alice")


@pytest.fixture
async def root_key(database: Database, http: httpx2.AsyncClient) -> dict[str, str]:
    return await with_key(database, expires_at=None)


@pytest.fixture
async def expiring_key(database: Database, http: httpx2.AsyncClient) -> dict[str, str]:
    return await with_key(database, expires_at=SOON)


async def with_key(database: Database, *, expires_at: datetime | None) -> dict[str, str]:
    """Give `root` a key of all scopes, and return the headers of a request with this key."""
    accounts, credential = MongoAccounts(database), Credential.new(CredentialKind.API_KEY)
    account = await accounts.named("root")
    assert account is not None
    digest = credential.digest
    key = ApiKey(
        id=credential.id, name="k", digest=digest, scopes=ALL, created_at=datetime.now(UTC), expires_at=expires_at
    )
    await accounts.add_key(account, key)
    return {"Authorization": f"Bearer {credential.text}"}


async def logged_in(database: Database, username: str) -> dict[str, str]:
    accounts = MongoAccounts(database)
    account = await accounts.named(username)
    assert account is not None
    token = authenticator(accounts).access_token(account, frozenset(account.scopes))
    return {"Authorization": f"Bearer {token}"}


async def make_key(http: httpx2.AsyncClient, caller: dict[str, str], **more: object) -> httpx2.Response:
    """Ask for a key, with the password, which a request with an access token needs."""
    return await http.post("/keys", json={"name": "k", "current_password": PASSWORD, **more}, headers=caller)


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
    change = {"roots": None, "disabled": True}
    changed = (await http.patch("/accounts/bob", json=change | CONFIRMED, headers=root)).json()
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
    refused = await http.post(
        "/accounts", json={"username": "bob", "scopes": ["read"]} | CONFIRMED | more, headers=root
    )
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
    for change in ({"disabled": True}, {"scopes": ["read"]}, {"password": None, "revoke_keys": True}):
        assert (await http.patch("/accounts/root", json=change | CONFIRMED, headers=root)).status_code == 409
    admin_alone = {"scopes": ["admin"]} | CONFIRMED
    assert (await http.patch("/accounts/root", json=admin_alone, headers=root)).status_code == 200


CALLS_THAT_GIVE_ACCESS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "an account with a password": ("POST", "/accounts", {"username": "bob", "scopes": [], "password": OTHER}),
    "a password": ("PATCH", "/accounts/alice", {"password": OTHER}),
    "more scopes": ("PATCH", "/accounts/alice", {"scopes": ["read", "admin"]}),
    "more roots": ("PATCH", "/accounts/alice", {"roots": None}),
    "more targets": ("PATCH", "/accounts/alice", {"targets": ["archive"]}),
    "enabling": ("PATCH", "/accounts/alice", {"disabled": False}),
}


@pytest.mark.parametrize("given", CALLS_THAT_GIVE_ACCESS)
@pytest.mark.parametrize("caller", ["access token", "expiring key"])
async def test_change_that_gives_lasting_access_needs_the_password_unless_the_key_never_expires(
    http: httpx2.AsyncClient,
    database: Database,
    root: dict[str, str],
    expiring_key: dict[str, str],
    caller: str,
    given: str,
) -> None:
    method, path, body = CALLS_THAT_GIVE_ACCESS[given]
    headers = {"access token": root, "expiring key": expiring_key}[caller]
    before = [account async for account in database["auth"].find()]
    for more, code in (({}, "password_needed"), ({"current_password": OTHER}, "forbidden")):
        refused = await http.request(method, path, json=body | more, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, code)
    assert [account async for account in database["auth"].find()] == before
    assert (await http.request(method, path, json=body | CONFIRMED, headers=headers)).is_success


@pytest.mark.parametrize("given", CALLS_THAT_GIVE_ACCESS)
async def test_admins_key_without_an_end_needs_no_password(
    http: httpx2.AsyncClient, root_key: dict[str, str], given: str
) -> None:
    method, path, body = CALLS_THAT_GIVE_ACCESS[given]
    assert (await http.request(method, path, json=body, headers=root_key)).is_success


async def test_what_gives_no_access_needs_no_password(http: httpx2.AsyncClient, root: dict[str, str]) -> None:
    without_password = {"username": "bob", "scopes": ["read"]}
    assert (await http.post("/accounts", json=without_password, headers=root)).status_code == 201
    for change in ({}, {"disabled": True}, {"quota_bytes": 5, "max_open_files": None}):
        assert (await http.patch("/accounts/bob", json=change, headers=root)).status_code == 200


async def test_access_token_makes_a_key_for_somebody_else_only_with_the_admins_password(
    http: httpx2.AsyncClient, root: dict[str, str]
) -> None:
    assert (await make_key(http, root, account="alice", current_password=None)).status_code == 403
    made = await make_key(http, root, account="alice")
    assert (await http.get("/account", headers=by_key(made))).json()["username"] == "alice"


async def test_account_without_a_password_makes_no_key_with_an_access_token(
    http: httpx2.AsyncClient, root: dict[str, str], database: Database
) -> None:
    await database["auth"].update_one({"username": "root"}, {"$set": {"password_hash": None}})
    refused = await make_key(http, root)
    assert (refused.status_code, "no password" in refused.json()["detail"]) == (403, True)


@pytest.mark.parametrize("days", [None, 2])
async def test_key_made_with_a_key_expires_no_later_than_that_key(
    http: httpx2.AsyncClient, expiring_key: dict[str, str], days: int | None
) -> None:
    for account in ("root", "alice"):
        made = await make_key(http, expiring_key, account=account, expires_in_days=days, current_password=None)
        assert (made.status_code, datetime.fromisoformat(made.json()["expires_at"])) == (201, SOON)


async def test_key_made_with_a_key_can_expire_earlier(http: httpx2.AsyncClient, database: Database) -> None:
    long = await with_key(database, expires_at=SOON + timedelta(days=30))
    made = (await make_key(http, long, expires_in_days=1)).json()
    assert datetime.fromisoformat(made["expires_at"]) < SOON + timedelta(days=1)


async def test_key_made_with_a_key_that_never_expires_never_expires(
    http: httpx2.AsyncClient, root_key: dict[str, str]
) -> None:
    assert (await make_key(http, root_key)).json()["expires_at"] is None


async def test_revoking_a_key_does_not_revoke_the_keys_made_with_it(
    http: httpx2.AsyncClient, root: dict[str, str], root_key: dict[str, str]
) -> None:
    (maker,) = (await http.get("/keys", headers=root)).json()["keys"]
    made = by_key(await make_key(http, root_key))
    assert (await http.delete(f"/keys/{maker['key_id']}", headers=root)).status_code == 204
    assert (await http.get("/account", headers=root_key)).status_code == 401
    assert (await http.get("/account", headers=made)).status_code == 200


async def test_admin_revokes_every_key_with_a_new_password_and_only_then(
    http: httpx2.AsyncClient, root_key: dict[str, str], alice: dict[str, str]
) -> None:
    keys = [by_key(await make_key(http, alice)) for _ in range(3)]
    for change, statuses in (
        ({"password": OTHER}, [200] * 3),
        ({"revoke_keys": False, "quota_bytes": 1}, [200] * 3),
        ({"password": PASSWORD, "revoke_keys": True}, [401] * 3),
    ):
        assert (await http.patch("/accounts/alice", json=change, headers=root_key)).status_code == 200
        assert [(await http.get("/account", headers=key)).status_code for key in keys] == statuses
    assert (await http.get("/account", headers=root_key)).status_code == 200


async def test_keys_are_not_revoked_without_a_change_of_the_password(
    http: httpx2.AsyncClient, root_key: dict[str, str]
) -> None:
    refused = await http.patch("/accounts/alice", json={"revoke_keys": True}, headers=root_key)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_value")
    removed = {"password": None, "revoke_keys": True}
    assert (await http.patch("/accounts/alice", json=removed, headers=root_key)).json()["has_password"] is False


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


async def test_own_account_says_which_scopes_the_request_has(
    http: httpx2.AsyncClient, root: dict[str, str], alice: dict[str, str]
) -> None:
    made = await make_key(http, alice, scopes=["read"])
    own = (await http.get("/account", headers=by_key(made))).json()
    assert (own["username"], own["granted_scopes"]) == ("alice", ["read"])
    assert len(own["scopes"]) > 1
    await http.patch("/accounts/alice", json={"scopes": ["prepare"], "current_password": PASSWORD}, headers=root)
    assert (await http.get("/account", headers=by_key(made))).json()["granted_scopes"] == []


async def test_key_has_at_most_the_scopes_of_its_account(http: httpx2.AsyncClient, alice: dict[str, str]) -> None:
    assert (await make_key(http, alice, scopes=["admin"])).status_code == 403
    key = by_key(await make_key(http, alice, scopes=["prepare"]))
    assert (await http.get("/files", headers=key)).status_code == 403
    assert (await http.get("/account", headers=key)).status_code == 200


async def test_key_makes_keys_only_for_an_admin(
    http: httpx2.AsyncClient, alice: dict[str, str], root: dict[str, str]
) -> None:
    key = by_key(await make_key(http, alice))
    assert (await http.post("/keys", json={"name": "more"}, headers=key)).status_code == 403
    admin = by_key(await make_key(http, root))
    for_alice = await http.post("/keys", json={"name": "for alice", "account": "alice"}, headers=admin)
    assert (await http.get("/account", headers=by_key(for_alice))).json()["username"] == "alice"


async def test_key_ends_itself_and_no_other_one(
    http: httpx2.AsyncClient, alice: dict[str, str], root: dict[str, str]
) -> None:
    first, second, admin = [await make_key(http, caller) for caller in (alice, alice, root)]
    other = f"/keys/{second.json()['key_id']}"
    assert (await http.delete(other, headers=by_key(first))).status_code == 404
    assert (await http.delete(f"/keys/{first.json()['key_id']}", headers=by_key(first))).status_code == 204
    assert (await http.delete(other, headers=by_key(admin))).status_code == 204


async def test_keys_of_others_are_unknown(
    http: httpx2.AsyncClient, alice: dict[str, str], root: dict[str, str]
) -> None:
    roots_key = (await make_key(http, root)).json()["key_id"]
    assert (await http.get("/keys", headers=alice)).json()["keys"] == []
    assert (await http.get("/keys", params={"account": "root"}, headers=alice)).status_code == 404
    assert (await make_key(http, alice, account="root")).status_code == 404
    assert (await http.delete(f"/keys/{roots_key}", headers=alice)).status_code == 404
    assert (await http.get("/keys", headers=root)).json()["keys"][0]["key_id"] == roots_key


async def test_expired_key_is_refused(http: httpx2.AsyncClient, alice: dict[str, str], database: Database) -> None:
    key = by_key(await make_key(http, alice, expires_in_days=1))
    assert (await http.get("/account", headers=key)).status_code == 200
    expired_now = [
        {"$set": {"keys": {"$map": {"input": "$keys", "in": {"$mergeObjects": ["$$this", {"expires_at": "$$NOW"}]}}}}}
    ]
    await database["auth"].update_one({"username": "alice"}, expired_now)
    assert (await http.get("/account", headers=key)).status_code == 401


async def test_right_id_with_another_secret_is_refused(http: httpx2.AsyncClient, alice: dict[str, str]) -> None:
    made = (await make_key(http, alice)).json()
    other = Credential.new(CredentialKind.API_KEY)
    forged = f"ghk_{made['key_id']}_{other.secret}"
    assert (await http.get("/account", headers={"Authorization": f"Bearer {forged}"})).status_code == 401


async def test_account_has_a_bounded_number_of_keys(http: httpx2.AsyncClient, root_key: dict[str, str]) -> None:
    for n in range(KEYS_MOST):
        by_key(await make_key(http, root_key, name=f"k{n}", account="alice"))
    refused = await make_key(http, root_key, account="alice")
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_keys")


async def test_request_reads_one_key_and_no_others(database: Database) -> None:
    accounts = MongoAccounts(database)
    bob = await accounts.create(NewAccount(username="bob", scopes=SOME))
    for _ in range(3):
        await accounts.add_key(bob, _key())
    last = (await accounts.keys("bob"))[-1]
    found = await accounts.with_key(last.id)
    assert found is not None
    assert (found.username, found.keys, found.sessions) == ("bob", (last,), ())


async def test_key_revoked_while_others_are_read_is_not_found_from_then_on(database: Database) -> None:
    """Concurrent callers share their reads; a caller who asks after the revocation gets a read that begins after it."""
    accounts = MongoAccounts(database)
    bob = await accounts.create(NewAccount(username="bob", scopes=SOME))
    for _ in range(20):
        key = _key()
        await accounts.add_key(bob, key)
        before = [asyncio.create_task(accounts.with_key(key.id)) for _ in range(20)]
        await asyncio.sleep(0)  # let the tasks begin their read
        await accounts.revoke_key(key.id, of="bob")
        after = await asyncio.gather(*(accounts.with_key(key.id) for _ in range(20)))
        assert after == [None] * 20
        assert {found.keys[0].id for found in await asyncio.gather(*before) if found} <= {key.id}


async def test_names_and_keys_that_are_asked_for_at_once_get_their_own(database: Database) -> None:
    accounts = MongoAccounts(database)
    _, eve = [await accounts.create(NewAccount(username=username, scopes=SOME)) for username in ("bob", "eve")]
    key = _key()
    await accounts.add_key(eve, key)
    asked = [accounts.named("bob"), accounts.with_key(key.id), accounts.named("eve"), accounts.named("nobody")] * 5
    found = await asyncio.gather(*asked)
    assert [one and one.username for one in found] == ["bob", "eve", "eve", None] * 5


def _key() -> ApiKey:
    now = datetime.now(UTC).replace(microsecond=0)  # MongoDB keeps milliseconds only
    return ApiKey(id=new_id(), name="k", digest="d", scopes=SOME, created_at=now)
