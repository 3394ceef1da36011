"""Logins: passwords, access tokens, refresh tokens, and the events that end them. Real argon2 and a real MongoDB."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gridhaul.storage.accounts.accounts import GRACE_SECONDS, SESSIONS_MOST
from gridhaul.storage.codec import new_id
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import Scope, Session
from gridhaul.transfer.credentials import Credential, CredentialKind
from tests.api.house import OTHER, PASSWORD, House, bearer

DAY_SECONDS = 86400


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


async def test_refresh_that_asks_for_too_much_leaves_the_login_as_it_is(house: House) -> None:
    token = (await house.log_in(scope="read")).json()["refresh_token"]
    assert (await house.refresh(token, scope="read delete")).status_code == 403
    assert (await house.refresh(token, scope="everything")).status_code == 422
    assert (await house.refresh(token)).status_code == 200


async def test_refresh_gives_another_refresh_token(house: House) -> None:
    first = (await house.log_in()).json()
    second = (await house.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert await house.look(second["access_token"]) == 200
    assert (await house.refresh(second["refresh_token"])).status_code == 200


async def test_two_tabs_that_refresh_the_same_token_both_stay_logged_in(house: House) -> None:
    first = (await house.log_in()).json()["refresh_token"]
    tabs = [(await house.refresh(first)).json() for _ in range(2)]
    assert [await house.look(tab["access_token"]) for tab in tabs] == [200, 200]
    assert tabs[0]["refresh_token"] == tabs[1]["refresh_token"] != first
    again = [(await house.refresh(tab["refresh_token"])).json()["refresh_token"] for tab in tabs]
    assert again[0] == again[1] != tabs[0]["refresh_token"]


async def test_refreshes_of_a_token_at_the_same_moment_all_get_the_same_token(house: House) -> None:
    first = (await house.log_in()).json()["refresh_token"]
    answers = await asyncio.gather(*(house.refresh(first) for _ in range(10)))
    assert [answer.status_code for answer in answers] == [200] * 10
    (second,) = {answer.json()["refresh_token"] for answer in answers}
    assert (await house.refresh(second)).status_code == 200


async def test_refresh_whose_answer_was_lost_can_be_repeated(house: House, database: Database) -> None:
    first = (await house.log_in()).json()["refresh_token"]
    lost = (await house.refresh(first)).json()
    before = await _stored_session(database)
    repeated = (await house.refresh(first)).json()
    assert repeated["refresh_token"] == lost["refresh_token"]
    assert await _stored_session(database) == before
    assert (await house.refresh(repeated["refresh_token"])).status_code == 200


async def test_refresh_whose_answer_was_lost_can_be_repeated_days_later(house: House, database: Database) -> None:
    first = (await house.log_in()).json()["refresh_token"]
    lost = (await house.refresh(first)).json()["refresh_token"]
    for _ in range(2):
        await _renewed_earlier(database, 5 * DAY_SECONDS)
        assert (await house.refresh(first)).json()["refresh_token"] == lost
    assert (await house.refresh(lost)).status_code == 200


async def test_token_is_refreshed_for_the_grace_period_after_its_successor_was_used(
    house: House, database: Database
) -> None:
    tokens = await _tokens(house, 3)
    await _renewed_earlier(database, GRACE_SECONDS - 10)
    assert (await house.refresh(tokens[0])).json()["refresh_token"] == tokens[2]  # the newest one, and not tokens[1]
    await _renewed_earlier(database, 10)
    assert (await house.refresh(tokens[0])).status_code == 401
    assert [(await house.refresh(token)).status_code for token in tokens] == [401] * 3


async def test_refresh_token_that_was_replaced_three_times_ends_the_login(house: House) -> None:
    tokens = await _tokens(house, 4)
    assert (await house.refresh(tokens[0])).status_code == 401
    assert [(await house.refresh(token)).status_code for token in tokens] == [401] * 4


async def test_requests_with_both_tokens_before_the_newest_one_all_get_the_newest(house: House) -> None:
    tokens = await _tokens(house, 3)
    answers = await asyncio.gather(*(house.refresh(token) for token in tokens[:2] * 5))
    assert {answer.json()["refresh_token"] for answer in answers} == {tokens[2]}


async def _tokens(house: House, number: int) -> list[str]:
    """Log in, and return so many refresh tokens of the login, each one the successor of the one before."""
    tokens = [(await house.log_in()).json()["refresh_token"]]
    while len(tokens) < number:
        tokens.append((await house.refresh(tokens[-1])).json()["refresh_token"])
    return tokens


async def test_login_from_before_previous_tokens_were_kept_is_refreshed(house: House, database: Database) -> None:
    first = (await house.log_in()).json()["refresh_token"]
    new_fields = {"sessions.$[].previous_digest": "", "sessions.$[].renewed_at": ""}
    await database["auth"].update_one({"username": "alice"}, {"$unset": new_fields})
    second = (await house.refresh(first)).json()["refresh_token"]
    assert (await house.refresh(first)).json()["refresh_token"] == second


async def test_previous_refresh_token_logs_out(house: House) -> None:
    first = (await house.log_in()).json()["refresh_token"]
    second = (await house.refresh(first)).json()["refresh_token"]
    assert (await house.http.post("/auth/revoke", data={"token": first})).status_code == 204
    assert (await house.refresh(second)).status_code == 401


async def test_repeated_refresh_under_another_service_secret_is_refused_and_the_login_stays(house: House) -> None:
    first = (await house.log_in()).json()["refresh_token"]
    credential = Credential.parse(first, CredentialKind.REFRESH_TOKEN)
    assert credential is not None
    newest = credential.successor("another secret")
    await house.accounts.renew_session(credential.id, presented=credential.digest, following=newest.digest)
    assert (await house.refresh(first)).status_code == 401
    assert (await house.refresh(newest.text)).status_code == 200


async def _stored_session(database: Database) -> Any:
    account: Any = await database["auth"].find_one({"username": "alice"})
    return account["sessions"]


async def _renewed_earlier(database: Database, seconds: float) -> None:
    """Move the time of the last refresh of alice's only login back by `seconds`."""
    (session,) = await _stored_session(database)
    earlier = session["renewed_at"] - timedelta(seconds=seconds)
    await database["auth"].update_one({"username": "alice"}, {"$set": {"sessions.0.renewed_at": earlier}})


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
    key = await house.key()
    change = {"current_password": PASSWORD, "new_password": OTHER}
    assert (await house.http.put("/account/password", json=change, headers=bearer(key))).status_code == 204
    assert await house.look(login["access_token"]) == 401
    assert (await house.refresh(login["refresh_token"])).status_code == 401
    assert await house.look(key) == 200
    assert (await house.log_in()).status_code == 401
    assert (await house.log_in(OTHER)).status_code == 200


async def test_login_begun_before_a_new_password_does_not_outlive_it(house: House) -> None:
    before = await house.accounts.named("alice")
    assert before is not None
    await house.accounts.set_password("alice", before.password_hash)
    assert not await house.accounts.begin_session(before, _session())


async def test_login_begun_before_the_account_was_disabled_is_not_there_afterwards(house: House) -> None:
    before = await house.accounts.named("alice")
    assert before is not None
    await house.accounts.change("alice", {"disabled": True})
    assert not await house.accounts.begin_session(before, _session())


async def test_account_without_a_password_cannot_change_its_password(house: House) -> None:
    key = await house.key()
    await house.accounts.set_password("alice", None)
    change = {"current_password": OTHER, "new_password": OTHER}
    refused = await house.http.put("/account/password", json=change, headers=bearer(key))
    assert (refused.status_code, "no password" in refused.json()["detail"]) == (403, True)


async def test_new_password_can_revoke_every_key_of_the_account(house: House) -> None:
    keys = [await house.key() for _ in range(2)]
    change = {"current_password": PASSWORD, "new_password": OTHER, "revoke_keys": True}
    assert (await house.http.put("/account/password", json=change, headers=bearer(keys[0]))).status_code == 204
    assert [await house.look(key) for key in keys] == [401, 401]
    assert (await house.log_in(OTHER)).status_code == 200


async def test_access_token_makes_a_key_only_with_the_password(house: House) -> None:
    token = (await house.log_in()).json()["access_token"]
    without = await house.make_key(token)
    assert (without.status_code, "current_password" in without.json()["detail"]) == (403, True)
    assert (await house.make_key(token, current_password=OTHER)).status_code == 403
    made = await house.make_key(token, current_password=PASSWORD)
    assert await house.look(made.json()["key"]) == 200
    listed = await house.http.get("/keys", headers=bearer(token))
    assert [key["key_id"] for key in listed.json()["keys"]] == [made.json()["key_id"]]


async def test_password_changes_only_with_the_current_one_and_to_a_long_one(house: House) -> None:
    headers = bearer((await house.log_in()).json()["access_token"])
    wrong = {"current_password": OTHER, "new_password": OTHER}
    assert (await house.http.put("/account/password", json=wrong, headers=headers)).status_code == 403
    short = {"current_password": PASSWORD, "new_password": "short"}
    assert (await house.http.put("/account/password", json=short, headers=headers)).status_code == 422
    assert (await house.log_in()).status_code == 200


async def test_disabled_account_is_out_at_once_with_tokens_keys_and_password(house: House) -> None:
    login = (await house.log_in()).json()
    key = await house.key()
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
    alice = await house.accounts.named("alice")
    assert alice is not None
    for _ in range(SESSIONS_MOST - 1):
        await house.accounts.begin_session(alice, _session())
    kept: Any = await database["auth"].find_one({"username": "alice"})
    assert len(kept["sessions"]) == SESSIONS_MOST
    assert (await house.refresh(first)).status_code == 401
    assert (await house.refresh(other)).status_code == 200


def _session() -> Session:
    expires = datetime.now(UTC) + timedelta(days=1)
    return Session(id=new_id(), digest="d", scopes=(Scope.READ,), expires_at=expires)


async def test_neither_passwords_nor_tokens_are_stored(house: House, database: Database) -> None:
    login = (await house.log_in()).json()
    key = await house.key()
    stored = repr(await database["auth"].find_one({"username": "alice"}))
    for secret in (PASSWORD, login["access_token"], login["refresh_token"].split("_", 2)[2], key.split("_", 2)[2]):
        assert secret not in stored
