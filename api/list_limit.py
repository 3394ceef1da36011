"""The limits of lists: those that arrive at once, and those of an account that no batch uses."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from gridhaul.process.fair_slots import FairSlots
from gridhaul.transfer.errors import ListsBusy, TooManyLists
from gridhaul.transfer.lists import UNUSED_LISTS_AT_MOST
from gridhaul.transfer.ports.lists import ListIntake

LISTS_AT_ONCE = 8  # of one process; each list takes a few MiB of memory while it arrives
OF_ONE_ACCOUNT = 2
TURN_SECONDS = 10.0
TRY_AGAIN_SECONDS = 5
TOO_MANY_SECONDS = 3600  # a list that no batch uses goes away after a day, so a client need not ask again soon


class ListSlots:
    """The slots of one process. One account holds few of them, so the rest is free for other accounts."""

    def __init__(self, *, turn_seconds: float = TURN_SECONDS) -> None:
        self._slots = FairSlots(limit=LISTS_AT_ONCE, limit_each=OF_ONE_ACCOUNT)
        self._turn_seconds = turn_seconds

    @asynccontextmanager
    async def hold(self, account: str) -> AsyncGenerator[None]:
        """Hold a slot inside the context. Raises ListsBusy if none becomes free within `turn_seconds`."""
        detail = f"Other lists are arriving; try again in {TRY_AGAIN_SECONDS} s."
        busy = ListsBusy(detail, retry_after_seconds=TRY_AGAIN_SECONDS)
        async with self._slots.hold(account, turn_seconds=self._turn_seconds, busy=busy):
            yield


async def require_few(lists: ListIntake, account: str) -> None:
    """Raise TooManyLists if the account has as many lists as it may that no batch uses."""
    if await lists.count_unused(account, limit=UNUSED_LISTS_AT_MOST) >= UNUSED_LISTS_AT_MOST:
        detail = (
            f"At most {UNUSED_LISTS_AT_MOST} lists may wait for a batch; start batches with them, delete one, or wait "
            "until one is a day old."
        )
        raise TooManyLists(detail, retry_after_seconds=TOO_MANY_SECONDS)
