"""The memory of downloads: half of it for one account, and a refusal when none becomes free in time."""

from contextlib import AsyncExitStack

import pytest

from api.download_limit import DOWNLOADS_MIB, RANGE_MIB, WHOLE_MIB, DownloadSlots, range_mib, whole_mib
from gridhaul.transfer.errors import DownloadsBusy

SLOTS = 4
SHARE = SLOTS // 2


async def test_account_holds_half_of_the_slots_and_the_others_the_rest() -> None:
    slots = DownloadSlots(slots=SLOTS, turn_seconds=0.01)
    async with AsyncExitStack() as held:
        for account in ("alice", "alice", "bob", "carol"):
            await held.enter_async_context(slots.hold(account, mib=1))
        for account in ("alice", "dave"):
            with pytest.raises(DownloadsBusy):
                await held.enter_async_context(slots.hold(account, mib=1))


async def test_download_without_a_slot_in_time_is_refused_and_holds_nothing() -> None:
    slots = DownloadSlots(slots=SLOTS, turn_seconds=0.01)
    async with AsyncExitStack() as held:
        await held.enter_async_context(slots.hold("alice", mib=SHARE))
        with pytest.raises(DownloadsBusy, match=r"^The server, or your account, .* try again in 5 s\.$") as refused:
            await held.enter_async_context(slots.hold("alice", mib=1))
        assert refused.value.retry_after_seconds == 5
    async with slots.hold("alice", mib=SHARE):
        pass


async def test_download_that_fails_frees_its_slots() -> None:
    slots = DownloadSlots(slots=SLOTS, turn_seconds=0.01)
    with pytest.raises(ZeroDivisionError):
        async with slots.hold("alice", mib=SHARE):
            raise ZeroDivisionError
    async with slots.hold("alice", mib=SHARE):
        pass


async def test_sixteen_connections_of_one_account_hold_slots_at_once_though_one_asks_for_the_whole_file() -> None:
    slots = DownloadSlots(turn_seconds=0.01)
    async with AsyncExitStack() as held:
        await held.enter_async_context(slots.hold("alice", mib=whole_mib(10_000)))
        for _ in range(15):
            await held.enter_async_context(slots.hold("alice", mib=range_mib(10_000)))


@pytest.mark.parametrize(
    ("chunks", "whole", "part"), [(0, 2, 2), (1, 4, 4), (3, 8, 8), (4, 10, 8), (15, 32, 8), (1 << 20, 33, 8)]
)
def test_small_downloads_hold_less_and_no_download_more_than_its_most(chunks: int, whole: int, part: int) -> None:
    assert (whole_mib(chunks), range_mib(chunks)) == (whole, part)
    assert part <= RANGE_MIB < whole_mib(1 << 20) == WHOLE_MIB <= DOWNLOADS_MIB // 2
