"""Logins: passwords, access tokens, refresh tokens, and what ends them. Real argon2 and a real MongoDB."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from api.rates import Rates
from gridhaul.passwords import Passwords
from gridhaul.storage.accounts import SESSIONS_MOST, MongoAccounts
from gridhaul.storage.codec import new_id
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import NewAccount, Scope, Session
from tests.api.service import serving
from tests.contracts.ports import LONG_LEASE_SECONDS, mongo_ports

PASSWORD = "correct horse battery"
OTHER = "another horse battery"


@dataclass(frozen=True, kw_only=True)
class House:
    http: httpx2.AsyncClient
    accounts: MongoAccounts

    async def log_in(self, password: str = PASSWORD, username: str = "alice", **more: str) -> httpx2.Response:
        return await self.http.post("/auth/token/", data={"username": username, "password": password, **more})

    async def refresh(self, token: str, **more: str) -> httpx2.Response:
        return await self.http.post(
            "/auth/token/", data={"grant_type": "refresh_token", "refresh_token": token, **more}
        )

    async def look(self, token: str, path: str = "/account") -> int:
        """The status of a request with the token."""
        return (await self.http.get(path, headers=bearer(token))).status_code


def bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="session")
async def password_hash() -> str:
    return await Passwords().hashed(PASSWORD)


@pytest.fixture
async def house(database: Database, password_hash: str) -> AsyncIterator[House]:
    accounts = MongoAccounts(database)
    await accounts.create(NewAccount(username="alice", scopes=(Scope.READ, Scope.DELETE), password_hash=password_hash))
    ports = mongo_ports(database, lease_seconds=LONG_LEASE_SECONDS)
    rates = Rates(requests_a_minute=0, failed_logins_a_minute=3)
    async with serving(ports, accounts=accounts, rates=rates) as api:
        api.http.headers.pop("Authorization")
        yield House(http=api.http, accounts=accounts)


async def test_password_gives_a_token_for_the_scopes_of_the_account(house: House) -> None:
    answer = await house.log_in()
    body = answer.json()
    assert (answer.status_code, body["token_type"], body["scope"]) == (200, "Bearer", "read delete")
    assert answer.headers["cache-control"] == "no-store"
    assert await house.look(body["access_token"]) == 200


async def test_fewer_scopes_can_be_asked_for_and_never_more(house: House) -> None:
    body = (await house.log_in(scope="read")).json()
    assert body["scope"] == "read"
    file = "/files/" + "0" * 24
    assert (await house.http.delete(file, headers=bearer(body["access_token"]))).status_code == 403
    assert (await house.log_in(scope="read admin")).status_code == 403
    assert (await house.log_in(scope="everything")).status_code == 422
    assert (await house.refresh(body["refresh_token"], scope="read delete")).status_code == 403


@pytest.mark.parametrize(
    ("username", "password"), [("alice", OTHER), ("alice", ""), ("alice", "\udc80"), ("bob", PASSWORD)]
)
async def test_wrong_login_is_one_and_the_same_answer(house: House, username: str, password: str) -> None:
    form = f"username={username}&password=".encode() + password.encode("utf-8", "surrogatepass")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await house.http.post("/auth/token/", content=form, headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (401, "Username or password is wrong.")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_account_without_a_password_cannot_log_in(house: House) -> None:
    await house.accounts.set_password("alice", None)
    assert (await house.log_in()).status_code == 401
    assert (await house.log_in("")).status_code == 401


async def test_after_a_few_wrong_logins_even_the_right_one_waits(house: House) -> None:
    assert [(await house.log_in(OTHER)).status_code for _ in range(3)] == [401] * 3
    refused = await house.log_in()
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert 0 < int(refused.headers["retry-after"]) <= 60


async def test_right_logins_are_not_counted(house: House) -> None:
    assert [(await house.log_in()).status_code for _ in range(5)] == [200] * 5


async def test_refresh_token_is_good_once(house: House) -> None:
    first = (await house.log_in()).json()
    second = (await house.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert await house.look(second["access_token"]) == 200
    assert (await house.refresh(second["refresh_token"])).status_code == 200


async def test_refresh_token_used_twice_ends_the_login(house: House) -> None:
    first = (await house.log_in()).json()
    second = (await house.refresh(first["refresh_token"])).json()
    assert (await house.refresh(first["refresh_token"])).status_code == 401
    assert (await house.refresh(second["refresh_token"])).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "ghr_" + "0" * 24 + "_" + "A" * 43, "ghk_" + "0" * 24 + "_" + "A" * 43])
async def test_what_is_no_refresh_token_is_refused(house: House, token: str) -> None:
    assert (await house.refresh(token)).status_code == 401


async def test_refresh_token_opens_nothing_by_itself(house: House) -> None:
    assert await house.look((await house.log_in()).json()["refresh_token"]) == 401


async def test_revoked_login_cannot_be_refreshed_and_revoking_repeats(house: House) -> None:
    token = (await house.log_in()).json()["refresh_token"]
    for _ in range(2):
        assert (await house.http.post("/auth/revoke", data={"token": token})).status_code == 204
    assert (await house.refresh(token)).status_code == 401


async def test_new_password_ends_every_login_and_keeps_the_keys(house: House) -> None:
    login = (await house.log_in()).json()
    key = (await house.http.post("/keys", json={"name": "k"}, headers=bearer(login["access_token"]))).json()["key"]
    change = {"current_password": PASSWORD, "new_password": OTHER}
    assert (await house.http.put("/account/password", json=change, headers=bearer(key))).status_code == 204
    assert await house.look(login["access_token"]) == 401
    assert (await house.refresh(login["refresh_token"])).status_code == 401
    assert await house.look(key) == 200
    assert (await house.log_in()).status_code == 401
    assert (await house.log_in(OTHER)).status_code == 200


async def test_password_changes_only_with_the_current_one_and_to_a_long_one(house: House) -> None:
    headers = bearer((await house.log_in()).json()["access_token"])
    wrong = {"current_password": OTHER, "new_password": OTHER}
    assert (await house.http.put("/account/password", json=wrong, headers=headers)).status_code == 403
    short = {"current_password": PASSWORD, "new_password": "short"}
    assert (await house.http.put("/account/password", json=short, headers=headers)).status_code == 422
    assert (await house.log_in()).status_code == 200


async def test_disabled_account_is_out_at_once_with_tokens_keys_and_password(house: House) -> None:
    login = (await house.log_in()).json()
    key = (await house.http.post("/keys", json={"name": "k"}, headers=bearer(login["access_token"]))).json()["key"]
    await house.accounts.change("alice", {"disabled": True})
    assert [await house.look(token) for token in (login["access_token"], key)] == [401, 401]
    assert (await house.refresh(login["refresh_token"])).status_code == 401
    assert (await house.log_in()).status_code == 401


async def test_scope_that_the_account_lost_is_lost_for_its_tokens(house: House) -> None:
    token = (await house.log_in()).json()["access_token"]
    assert await house.look(token, "/files") == 200
    await house.accounts.change("alice", {"scopes": (Scope.DELETE,)})
    assert await house.look(token, "/files") == 403


async def test_of_many_logins_the_oldest_end(house: House, database: Database) -> None:
    first = (await house.log_in()).json()["refresh_token"]
    other = (await house.log_in()).json()["refresh_token"]
    for _ in range(SESSIONS_MOST - 1):
        await house.accounts.begin_session("alice", _session())
    kept: Any = await database["auth"].find_one({"username": "alice"})
    assert len(kept["sessions"]) == SESSIONS_MOST
    assert (await house.refresh(first)).status_code == 401
    assert (await house.refresh(other)).status_code == 200


def _session() -> Session:
    expires = datetime.now(UTC) + timedelta(days=1)
    return Session(id=new_id(), digest="d", scopes=(Scope.READ,), expires_at=expires)


async def test_neither_passwords_nor_tokens_are_stored(house: House, database: Database) -> None:
    login = (await house.log_in()).json()
    key = (await house.http.post("/keys", json={"name": "k"}, headers=bearer(login["access_token"]))).json()["key"]
    stored = repr(await database["auth"].find_one({"username": "alice"}))
    for secret in (PASSWORD, login["access_token"], login["refresh_token"].split("_")[2], key.split("_")[2]):
        assert secret not in stored
