"""The suite of `AccountUsage`."""

import asyncio

import pytest

from gridhaul.transfer.access import NewAccount
from gridhaul.transfer.errors import QuotaExceeded
from gridhaul.transfer.ports.accounts import AccountUsage
from tests.contracts.ports import Ports

ALICE = "alice"


async def _account(ports: Ports, *, quota_bytes: int | None = None, username: str = ALICE) -> None:
    await ports.accounts.create(NewAccount(username=username, scopes=(), quota_bytes=quota_bytes))


async def _used(ports: Ports, username: str = ALICE) -> int:
    account = await ports.accounts.named(username)
    assert account is not None
    return account.used_bytes


async def _fits(usage: AccountUsage, length_bytes: int) -> bool:
    try:
        await usage.charge(ALICE, length_bytes)
    except QuotaExceeded:
        return False
    return True


async def test_charged_is_counted_up_to_the_quota_and_no_byte_further(ports: Ports) -> None:
    usage = ports.usage_with(None)
    await _account(ports, quota_bytes=10)
    assert [await _fits(usage, length) for length in (4, 7, 6, 1)] == [True, False, True, False]
    assert await _used(ports) == 10


async def test_refusal_says_what_is_used_and_what_helps(ports: Ports) -> None:
    await _account(ports, quota_bytes=10)
    with pytest.raises(QuotaExceeded, match="quota is 10 bytes"):
        await ports.usage_with(None).charge(ALICE, 11)


async def test_released_can_be_charged_again(ports: Ports) -> None:
    usage = ports.usage_with(None)
    await _account(ports, quota_bytes=10)
    await usage.charge(ALICE, 10)
    await usage.release(ALICE, 3)
    assert [await _fits(usage, length) for length in (4, 3)] == [False, True]


async def test_more_is_released_than_there_is_and_nothing_is_left(ports: Ports) -> None:
    usage = ports.usage_with(None)
    await _account(ports)
    await usage.charge(ALICE, 5)
    await usage.release(ALICE, 7)
    assert await _used(ports) == 0


async def test_announcing_counts_nothing(ports: Ports) -> None:
    usage = ports.usage_with(None)
    await _account(ports)
    await usage.charge(ALICE, 5)
    await usage.announce(ALICE)
    assert await _used(ports) == 5


async def test_nothing_always_fits_also_when_the_quota_is_overdrawn(ports: Ports) -> None:
    await _account(ports)
    await ports.usage_with(None).charge(ALICE, 5)
    usage = ports.usage_with(3)
    assert [await _fits(usage, length) for length in (0, 1)] == [True, False]


@pytest.mark.parametrize(("own", "default", "fits"), [(None, 3, 3), (5, 3, 5), (0, 3, 0), (2, None, 2), (None, 0, 0)])
async def test_own_quota_counts_before_the_default_and_none_is_zero(
    ports: Ports, own: int | None, default: int | None, fits: int
) -> None:
    usage = ports.usage_with(default)
    await _account(ports, quota_bytes=own)
    assert [await _fits(usage, 1) for _ in range(8)] == [True] * fits + [False] * (8 - fits)


async def test_without_any_quota_everything_fits(ports: Ports) -> None:
    await _account(ports)
    assert await _fits(ports.usage_with(None), 2**62)
    assert await _used(ports) == 2**62


async def test_owner_without_an_account_is_not_limited(ports: Ports) -> None:
    usage = ports.usage_with(0)
    await usage.charge("nobody", 5)
    await usage.announce("nobody")
    await usage.release("nobody", 5)
    assert await ports.accounts.named("nobody") is None


async def test_accounts_are_counted_apart(ports: Ports) -> None:
    usage = ports.usage_with(10)
    for username in (ALICE, "bob"):
        await _account(ports, username=username)
        await usage.charge(username, 10)
    await usage.release("bob", 1)
    assert (await _used(ports), await _used(ports, "bob")) == (10, 9)


async def test_many_at_once_never_use_more_than_the_quota(ports: Ports) -> None:
    usage = ports.usage_with(None)
    await _account(ports, quota_bytes=50)
    answers = await asyncio.gather(*(_fits(usage, 5) for _ in range(40)))
    assert (answers.count(True), await _used(ports)) == (10, 50)


async def test_of_some_at_once_each_that_fits_is_charged(ports: Ports) -> None:
    usage = ports.usage_with(None)
    await _account(ports, quota_bytes=10)
    assert await asyncio.gather(*(_fits(usage, length) for length in (4, 20, 3, 0, 2, 9))) == [
        True,
        False,
        True,
        True,
        True,
        False,
    ]
    assert await _used(ports) == 9


async def test_charges_and_releases_at_once_are_all_counted(ports: Ports) -> None:
    usage = ports.usage_with(None)
    await _account(ports)
    await usage.charge(ALICE, 40)
    charges = (usage.charge(ALICE, 3) for _ in range(20))
    await asyncio.gather(*charges, *(usage.release(ALICE, 2) for _ in range(20)))
    assert await _used(ports) == 60


@pytest.mark.parametrize(
    ("own", "default", "free"), [(None, None, None), (10, None, 6), (None, 10, 6), (7, 10, 3), (3, None, 0), (0, 9, 0)]
)
async def test_free_is_what_the_quota_leaves_and_never_less_than_nothing(
    ports: Ports, own: int | None, default: int | None, free: int | None
) -> None:
    await _account(ports)
    await ports.usage_with(None).charge(ALICE, 4)
    await ports.accounts.change(ALICE, {"quota_bytes": own})
    assert await ports.usage_with(default).free_bytes(ALICE) == free


async def test_all_of_the_quota_is_free_before_the_first_charge_and_after_the_release(ports: Ports) -> None:
    usage = ports.usage_with(None)
    await _account(ports, quota_bytes=10)
    assert await usage.free_bytes(ALICE) == 10
    await usage.charge(ALICE, 10)
    assert await usage.free_bytes(ALICE) == 0
    await usage.release(ALICE, 10)
    assert await usage.free_bytes(ALICE) == 10


async def test_owner_without_an_account_has_no_quota(ports: Ports) -> None:
    assert await ports.usage_with(5).free_bytes("nobody") is None
