"""The slots of downloads: half of them for one account, and a refusal when none becomes free in time."""

from contextlib import AsyncExitStack

import pytest

from api.download_limit import DownloadSlots
from gridhaul.transfer.errors import DownloadsBusy

SLOTS = 4
SHARE = SLOTS // 2


async def test_account_holds_half_of_the_slots_and_the_others_the_rest() -> None:
    slots = DownloadSlots(slots=SLOTS, turn_seconds=0.01)
    async with AsyncExitStack() as held:
        for account in ("alice", "alice", "bob", "carol"):
            await held.enter_async_context(slots.hold(account))
        for account in ("alice", "dave"):
            with pytest.raises(DownloadsBusy):
                await held.enter_async_context(slots.hold(account))


async def test_download_without_a_slot_in_time_is_refused_and_holds_nothing() -> None:
    slots = DownloadSlots(slots=SLOTS, turn_seconds=0.01)
    async with AsyncExitStack() as held:
        for _ in range(SHARE):
            await held.enter_async_context(slots.hold("alice"))
        with pytest.raises(DownloadsBusy, match=r"^The server, or your account, .* try again in 5 s\.$") as refused:
            await held.enter_async_context(slots.hold("alice"))
        assert refused.value.retry_after_seconds == 5
    async with slots.hold("alice"), slots.hold("alice"):
        pass


async def test_download_that_fails_frees_its_slot() -> None:
    slots = DownloadSlots(slots=2, turn_seconds=0.01)
    with pytest.raises(ZeroDivisionError):
        async with slots.hold("alice"):
            raise ZeroDivisionError
    async with slots.hold("alice"):
        pass
