"""The limit of downloads at once. A download beyond the limit waits for memory, and is refused after some seconds.

What is limited is the memory that downloads hold, in MiB: `DOWNLOADS_MIB` for one process, half of that for one
account. A whole content takes up to `WHOLE_MIB`, because its last segment is held back until all of it was verified. A
range takes up to `RANGE_MIB`, because each of its chunks is verified by itself. So one account can have 5 downloads of
whole files, or 20 of ranges, at once. A client with 16 connections therefore need not wait, even if the first one asks
for the whole file.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from gridhaul.process.fair_slots import FairSlots
from gridhaul.transfer.errors import DownloadsBusy

DOWNLOADS_MIB = 330
WHOLE_MIB = 33  # 28 chunks in the stages, 4 more in the answer of MongoDB that is decoded, and the response itself
RANGE_MIB = 8
BESIDE_MIB = 2  # what a download holds beside its chunks, in MiB
TURN_SECONDS = 10.0
TRY_AGAIN_SECONDS = 5


def whole_mib(chunk_count: int) -> int:
    """Return the most MiB that the download of a whole content of so many chunks holds."""
    return min(WHOLE_MIB, 2 * chunk_count + BESIDE_MIB)


def range_mib(chunk_count: int) -> int:
    """Return the most MiB that the download of a range holds, which lies in so many chunks."""
    return min(RANGE_MIB, 2 * chunk_count + BESIDE_MIB)


class DownloadSlots:
    """The memory for downloads of one process, in slots of 1 MiB.

    One account holds at most half of the slots, so the rest is free for other accounts. That half must be enough for a
    whole content.
    """

    def __init__(self, *, slots: int = DOWNLOADS_MIB, turn_seconds: float = TURN_SECONDS) -> None:
        self._slots = FairSlots(limit=slots, limit_each=slots // 2)
        self._turn_seconds = turn_seconds

    @asynccontextmanager
    async def hold(self, account: str, *, mib: int) -> AsyncGenerator[None]:
        """Hold `mib` slots inside the context.

        Raises DownloadsBusy if so many do not become free within `turn_seconds`.
        """
        busy = DownloadsBusy(
            "The server, or your account, has as many downloads at once as it may; "
            f"try again in {TRY_AGAIN_SECONDS} s.",
            retry_after_seconds=TRY_AGAIN_SECONDS,
        )
        async with self._slots.hold(account, count=mib, turn_seconds=self._turn_seconds, busy=busy):
            yield
