"""The limit of downloads at once. A download beyond the limit waits a little for its turn before it is refused."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from gridhaul.transfer.errors import DownloadsBusy

DOWNLOADS_AT_ONCE = 8  # of one process; each download holds up to 32 MiB of memory
TURN_SECONDS = 10.0
TRY_AGAIN_SECONDS = 5


class DownloadSlots:
    """The slots of one process. One account holds at most half of them, so that the others need not wait for it."""

    def __init__(self, *, slots: int = DOWNLOADS_AT_ONCE, turn_seconds: float = TURN_SECONDS) -> None:
        self._all = asyncio.Semaphore(slots)
        self._share = slots // 2
        self._shares = WeakValueDictionary[str, asyncio.Semaphore]()  # an account without a download has no entry
        self._turn_seconds = turn_seconds

    @asynccontextmanager
    async def hold(self, account: str) -> AsyncGenerator[None]:
        """Hold a slot inside the context. Raises DownloadsBusy if none becomes free within `turn_seconds`.

        Downloads get slots in the order in which they arrive, except that one whose account has its share waits for a
        slot of that share first.
        """
        share = self._shares.setdefault(account, asyncio.Semaphore(self._share))
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._turn_seconds):
                    await held.enter_async_context(share)
                    await held.enter_async_context(self._all)
            except TimeoutError:
                raise DownloadsBusy(
                    "As many files are being downloaded as the server allows; try again.",
                    retry_after_seconds=TRY_AGAIN_SECONDS,
                ) from None
            yield
