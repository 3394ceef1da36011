"""The suite of `Accounts`."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gridhaul.storage.accounts.accounts import KEYS_MOST, SESSIONS_MOST, MongoAccounts
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import Account, ApiKey, NewAccount, Scope, Session
from gridhaul.transfer.errors import AccountExists, StateConflict, TooManyKeys
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.ports.accounts import Accounts
from tests.contracts.memory_accounts import MemoryAccounts
from tests.contracts.ports import Ports

FIRST, SECOND, THIRD, OTHER = ("s" * 64, "t" * 64, "u" * 64, "v" * 64)  # digests of a session
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _id(n: int) -> RecordId:
    return RecordId(f"{n:024x}")


def _key(n: int) -> ApiKey:
    return ApiKey(id=_id(n), name=f"key {n}", digest="d" * 64, scopes=(Scope.READ,), created_at=NOW)


def _session(n: int) -> Session:
    return Session(id=_id(n), digest=FIRST, scopes=(Scope.READ,), expires_at=NOW + timedelta(days=1))


async def _made(ports: Ports, username: str = "alice") -> Account:
    new = NewAccount(username=username, scopes=(Scope.READ, Scope.PREPARE), password_hash="hash 1", quota_bytes=7)
    return await ports.accounts.create(new)


async def _named(ports: Ports, username: str = "alice") -> Account:
    account = await ports.accounts.named(username)
    assert account is not None
    return account


async def test_account_is_made_once_and_found_by_its_name(ports: Ports) -> None:
    made = await _made(ports)
    assert (made.used_bytes, made.generation, made.disabled, made.quota_bytes) == (0, 0, False, 7)
    assert await _named(ports) == made
    with pytest.raises(AccountExists):
        await _made(ports)
    assert await ports.accounts.named("bob") is None


async def test_accounts_are_listed_by_name_a_page_at_a_time(ports: Ports) -> None:
    for username in ("carol", "alice", "bob"):
        await _made(ports, username)
    first = await ports.accounts.page(limit=2, after=None)
    rest = await ports.accounts.page(limit=2, after="bob")
    assert [[account.username for account in page] for page in (first, rest)] == [["alice", "bob"], ["carol"]]


async def test_named_fields_change_and_no_others(ports: Ports) -> None:
    made = await _made(ports)
    changed = await ports.accounts.change("alice", {"scopes": (Scope.ADMIN,), "quota_bytes": None})
    assert changed is not None
    assert changed == replace(made, scopes=(Scope.ADMIN,), quota_bytes=None, updated_at=changed.updated_at)
    assert await ports.accounts.change("bob", {"disabled": True}) is None


async def test_new_password_ends_sessions_and_keeps_keys(ports: Ports) -> None:
    made = await _made(ports)
    await ports.accounts.add_key(made, _key(1))
    assert await ports.accounts.begin_session(made, _session(2))
    changed = await ports.accounts.set_password("alice", "hash 2")
    assert changed is not None
    assert (changed.password_hash, changed.generation) == ("hash 2", 1)
    assert await ports.accounts.with_session(_id(2)) is None
    assert await ports.accounts.with_key(_id(1)) is not None
    assert not await ports.accounts.begin_session(made, _session(3))  # `made` was read before the password was changed
    assert await ports.accounts.set_password("bob", None) is None


async def test_new_password_revokes_the_keys_of_its_account_on_request(ports: Ports) -> None:
    made, other = await _made(ports), await _made(ports, "bob")
    for account, n in ((made, 1), (made, 2), (other, 3)):
        await ports.accounts.add_key(account, _key(n))
    assert await ports.accounts.begin_session(made, _session(4))
    changed = await ports.accounts.set_password_and_revoke_keys("alice", "hash 2")
    assert changed is not None
    assert (changed.password_hash, changed.generation) == ("hash 2", 1)
    assert [await ports.accounts.with_key(_id(n)) is not None for n in (1, 2, 3)] == [False, False, True]
    assert await ports.accounts.with_session(_id(4)) is None
    assert await ports.accounts.set_password_and_revoke_keys("carol", None) is None


async def test_key_is_not_added_by_whoever_read_the_account_before_its_new_password(ports: Ports) -> None:
    made = await _made(ports)
    await ports.accounts.set_password_and_revoke_keys("alice", "hash 2")
    with pytest.raises(StateConflict):
        await ports.accounts.add_key(made, _key(1))
    assert list(await ports.accounts.keys("alice")) == []


async def test_disabling_ends_sessions_and_no_session_begins(ports: Ports) -> None:
    made = await _made(ports)
    assert await ports.accounts.begin_session(made, _session(1))
    disabled = await ports.accounts.change("alice", {"disabled": True})
    assert disabled is not None
    assert disabled.disabled
    assert await ports.accounts.with_session(_id(1)) is None
    assert not await ports.accounts.begin_session(disabled, _session(2))


async def test_password_is_rehashed_unless_it_was_changed(ports: Ports) -> None:
    made = await _made(ports)
    await ports.accounts.rehash(made, "hash 1, stronger")
    assert (await _named(ports)).password_hash == "hash 1, stronger"
    await ports.accounts.rehash(made, "hash 1, of late")
    assert (await _named(ports)).password_hash == "hash 1, stronger"


async def test_account_is_found_by_a_key_with_only_that_key(ports: Ports) -> None:
    made = await _made(ports)
    for n in (1, 2):
        await ports.accounts.add_key(made, _key(n))
    await ports.accounts.begin_session(made, _session(3))
    found = await ports.accounts.with_key(_id(2))
    assert found is not None
    assert (found.keys, found.sessions) == ((_key(2),), ())
    assert await ports.accounts.with_key(_id(9)) is None
    assert (await _named(ports)).keys == ()


async def test_keys_are_listed_oldest_first_and_a_repeated_one_stays(ports: Ports) -> None:
    made = await _made(ports)
    for n in (2, 1, 2):
        await ports.accounts.add_key(made, _key(n))
    assert list(await ports.accounts.keys("alice")) == [_key(2), _key(1)]
    assert list(await ports.accounts.keys("bob")) == []


async def test_account_has_only_so_many_keys(ports: Ports) -> None:
    made = await _made(ports)
    for n in range(KEYS_MOST):
        await ports.accounts.add_key(made, _key(n))
    await ports.accounts.add_key(made, _key(5))
    with pytest.raises(TooManyKeys):
        await ports.accounts.add_key(made, _key(KEYS_MOST))


async def test_key_is_revoked_by_its_owner_or_by_anybody_who_names_none(ports: Ports) -> None:
    made = await _made(ports)
    for n in (1, 2):
        await ports.accounts.add_key(made, _key(n))
    assert await ports.accounts.revoke_key(_id(1), of="bob") is None
    for of, n in (("alice", 1), (None, 2)):
        account = await ports.accounts.revoke_key(_id(n), of=of)
        assert account is not None
        assert account.username == "alice"
        assert await ports.accounts.with_key(_id(n)) is None
        assert await ports.accounts.revoke_key(_id(n), of=of) is None


async def test_account_is_found_by_a_session_with_only_that_session(ports: Ports) -> None:
    made = await _made(ports)
    await ports.accounts.add_key(made, _key(1))
    for n in (2, 3):
        assert await ports.accounts.begin_session(made, _session(n))
    found = await ports.accounts.with_session(_id(3))
    assert found is not None
    assert (found.keys, found.sessions) == ((), (_session(3),))


async def test_oldest_session_ends_when_there_are_too_many(ports: Ports) -> None:
    made = await _made(ports)
    for n in range(SESSIONS_MOST + 1):
        assert await ports.accounts.begin_session(made, _session(n))
    found = [await ports.accounts.with_session(_id(n)) is not None for n in range(SESSIONS_MOST + 1)]
    assert found == [False] + [True] * SESSIONS_MOST


async def _digests(accounts: Accounts, n: int) -> tuple[str, str | None, str | None]:
    """Return the session's newest digest, the previous one, and the former one while it is accepted."""
    found = await accounts.with_session(_id(n))
    assert found is not None
    return found.sessions[0].digest, found.sessions[0].previous_digest, found.sessions[0].former_digest


async def test_renewed_session_keeps_its_last_three_digests(ports: Ports) -> None:
    made = await _made(ports)
    for n in (1, 2):
        await ports.accounts.begin_session(made, _session(n))
    assert await ports.accounts.renew_session(_id(1), presented=FIRST, following=SECOND)
    assert await _digests(ports.accounts, 1) == (SECOND, FIRST, None)
    assert await ports.accounts.renew_session(_id(1), presented=SECOND, following=THIRD)
    assert await _digests(ports.accounts, 1) == (THIRD, SECOND, FIRST)
    assert await ports.accounts.renew_session(_id(1), presented=THIRD, following=OTHER)
    assert await _digests(ports.accounts, 1) == (OTHER, THIRD, SECOND)
    assert await _digests(ports.accounts, 2) == (FIRST, None, None)


async def test_repeated_renewal_changes_nothing_and_any_other_one_is_refused(ports: Ports) -> None:
    await ports.accounts.begin_session(await _made(ports), _session(1))
    assert await ports.accounts.renew_session(_id(1), presented=FIRST, following=SECOND)
    renewed = await ports.accounts.with_session(_id(1))
    assert await ports.accounts.renew_session(_id(1), presented=FIRST, following=SECOND)
    for presented, following in ((FIRST, OTHER), (OTHER, SECOND), (OTHER, THIRD)):
        assert not await ports.accounts.renew_session(_id(1), presented=presented, following=following)
    assert not await ports.accounts.renew_session(_id(2), presented=FIRST, following=SECOND)
    again = await ports.accounts.with_session(_id(1))
    assert again is not None
    assert renewed is not None
    assert again.sessions == renewed.sessions


async def test_renewal_is_repeated_after_the_next_one_and_not_after_two(ports: Ports) -> None:
    await ports.accounts.begin_session(await _made(ports), _session(1))
    assert await ports.accounts.renew_session(_id(1), presented=FIRST, following=SECOND)
    assert await ports.accounts.renew_session(_id(1), presented=SECOND, following=THIRD)
    assert await ports.accounts.renew_session(_id(1), presented=FIRST, following=SECOND)
    assert await _digests(ports.accounts, 1) == (THIRD, SECOND, FIRST)
    assert await ports.accounts.renew_session(_id(1), presented=THIRD, following=OTHER)
    assert not await ports.accounts.renew_session(_id(1), presented=FIRST, following=SECOND)


async def test_renewals_of_one_digest_at_once_all_succeed(ports: Ports) -> None:
    await ports.accounts.begin_session(await _made(ports), _session(1))
    renewals = (ports.accounts.renew_session(_id(1), presented=FIRST, following=SECOND) for _ in range(20))
    assert await asyncio.gather(*renewals) == [True] * 20
    assert await _digests(ports.accounts, 1) == (SECOND, FIRST, None)


async def test_only_the_former_digest_is_not_seen_after_the_grace_period(storage: Database | None) -> None:
    accounts: Accounts
    accounts = MemoryAccounts(grace_seconds=0) if storage is None else MongoAccounts(storage, grace_seconds=0)
    made = await accounts.create(NewAccount(username="alice", scopes=(Scope.READ,)))
    await accounts.begin_session(made, _session(1))
    assert await accounts.renew_session(_id(1), presented=FIRST, following=SECOND)
    assert await accounts.renew_session(_id(1), presented=SECOND, following=THIRD)
    assert await _digests(accounts, 1) == (THIRD, SECOND, None)


async def test_ended_session_is_gone_and_the_others_stay(ports: Ports) -> None:
    made = await _made(ports)
    for n in (1, 2):
        await ports.accounts.begin_session(made, _session(n))
    for _ in range(2):
        await ports.accounts.end_session(_id(1))
        assert await ports.accounts.with_session(_id(1)) is None
        assert await ports.accounts.with_session(_id(2)) is not None
    assert not await ports.accounts.renew_session(_id(1), presented=FIRST, following=SECOND)
