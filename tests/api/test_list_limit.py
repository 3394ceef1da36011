"""The limit of lists that arrive at once: an account that holds its slots delays no other account."""

from contextlib import AsyncExitStack

import pytest

from api.list_limit import LISTS_AT_ONCE, OF_ONE_ACCOUNT, ListSlots
from gridhaul.transfer.errors import ListsBusy


async def test_account_with_all_its_slots_is_refused_and_others_are_not() -> None:
    slots = ListSlots(turn_seconds=0.05)
    async with AsyncExitStack() as held:
        for _ in range(OF_ONE_ACCOUNT):
            await held.enter_async_context(slots.hold("alice"))
        with pytest.raises(ListsBusy):
            await held.enter_async_context(slots.hold("alice"))
        await held.enter_async_context(slots.hold("bob"))
    async with slots.hold("alice"):
        pass


async def test_no_more_lists_arrive_at_once_than_there_are_slots() -> None:
    slots = ListSlots(turn_seconds=0.05)
    async with AsyncExitStack() as held:
        for number in range(LISTS_AT_ONCE):
            await held.enter_async_context(slots.hold(f"account {number}"))
        with pytest.raises(ListsBusy):
            await held.enter_async_context(slots.hold("another"))
