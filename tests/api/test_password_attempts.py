"""`PasswordAttempts`: it counts the attempts that fail, and refuses more of them with 429."""

import asyncio

import pytest

from api.password_attempts import WAITING_MOST, PasswordAttempts
from gridhaul.identity.passwords import AT_ONCE, Passwords
from gridhaul.transfer.errors import TooManyRequests
from tests.api.house import OTHER, PASSWORD, WRONG_MOST, House, bearer
from tests.api.service import NO_RATES


async def test_after_a_few_wrong_logins_even_the_right_one_waits(house: House) -> None:
    assert [(await house.log_in(OTHER)).status_code for _ in range(WRONG_MOST)] == [401] * WRONG_MOST
    refused = await house.log_in()
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert 0 < int(refused.headers["retry-after"]) <= 60


async def test_right_logins_are_not_counted(house: House) -> None:
    assert [(await house.log_in()).status_code for _ in range(5)] == [200] * 5


async def test_wrong_logins_at_the_same_moment_are_counted_too(house: House) -> None:
    answers = await asyncio.gather(*(house.log_in(OTHER) for _ in range(12)))
    looked_at = [answer.status_code for answer in answers].count(401)
    assert WRONG_MOST <= looked_at < WRONG_MOST + AT_ONCE


async def test_right_login_into_a_disabled_account_is_counted_like_a_wrong_one(house: House) -> None:
    await house.accounts.change("alice", {"disabled": True})
    answers = [(await house.log_in()).status_code for _ in range(WRONG_MOST + 1)]
    assert answers == [401] * WRONG_MOST + [429]


async def test_every_refused_login_is_in_the_audit_log_with_its_name(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.accounts.change("alice", {"disabled": True})
    logins = []
    monkeypatch.setattr("api.login.audit", lambda _, **facts: logins.append((facts["account"], facts["outcome"])))
    for _ in range(WRONG_MOST + 1):
        await house.log_in()
    assert logins == [("alice", "refused")] * WRONG_MOST + [("alice", "too_many")]


async def test_wrong_current_passwords_are_counted_as_logins(house: House) -> None:
    headers = bearer((await house.log_in()).json()["access_token"])
    wrong = {"current_password": OTHER, "new_password": OTHER}
    for _ in range(WRONG_MOST):
        assert (await house.http.put("/account/password", json=wrong, headers=headers)).status_code == 403
    assert (await house.http.put("/account/password", json=wrong, headers=headers)).status_code == 429
    assert (await house.log_in()).status_code == 429


async def test_wrong_passwords_for_a_key_are_counted_as_logins_and_missing_ones_are_not(house: House) -> None:
    token = (await house.log_in()).json()["access_token"]
    bodies: list[dict[str, object]] = [{}] * (WRONG_MOST + 1) + [{"current_password": OTHER}] * WRONG_MOST
    assert {(await house.make_key(token, **body)).status_code for body in bodies} == {403}
    assert (await house.make_key(token, current_password=PASSWORD)).status_code == 429
    assert (await house.log_in()).status_code == 429


class _Held(Passwords):
    """Passwords whose comparison returns only when `let_go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def match(self, password: str, password_hash: str | None) -> bool:
        return await self.let_go.wait()


async def test_only_so_many_passwords_wait_for_their_turn() -> None:
    held = _Held()
    password_attempts = PasswordAttempts(held, NO_RATES)

    async def guess() -> bool:
        return await password_attempts.is_right(OTHER, None, address="")

    waiting = [asyncio.create_task(guess()) for _ in range(WAITING_MOST)]
    await asyncio.sleep(0)  # let every task begin
    with pytest.raises(TooManyRequests):
        await guess()
    held.let_go.set()
    assert all(await asyncio.gather(*waiting))
    assert await guess()
