"""The limit of downloads at once. A download beyond the limit waits for a slot, and is refused after some seconds."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from gridhaul.process.fair_slots import FairSlots
from gridhaul.transfer.errors import DownloadsBusy

DOWNLOADS_AT_ONCE = 8  # of one process; each download holds up to 32 MiB of memory
TURN_SECONDS = 10.0
TRY_AGAIN_SECONDS = 5


class DownloadSlots:
    """The slots of one process. One account holds at most half of the slots, so the rest is free for other accounts."""

    def __init__(self, *, slots: int = DOWNLOADS_AT_ONCE, turn_seconds: float = TURN_SECONDS) -> None:
        self._slots = FairSlots(limit=slots, limit_each=slots // 2)
        self._turn_seconds = turn_seconds

    @asynccontextmanager
    async def hold(self, account: str) -> AsyncGenerator[None]:
        """Hold a slot inside the context. Raises DownloadsBusy if none becomes free within `turn_seconds`."""
        try:
            async with asyncio.timeout(self._turn_seconds):
                free_slot = await self._slots.acquire(account)
        except TimeoutError:
            raise DownloadsBusy(
                "The server, or your account, has as many downloads at once as it may; "
                f"try again in {TRY_AGAIN_SECONDS} s.",
                retry_after_seconds=TRY_AGAIN_SECONDS,
            ) from None
        try:
            yield
        finally:
            free_slot()
