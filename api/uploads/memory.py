"""The memory of one process for the bytes of uploads, and how many requests may send such bytes at once."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

from gridhaul.process.fair_slots import FairSlots
from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.errors import UploadsBusy

TURN_SECONDS = 10.0
TRY_AGAIN_SECONDS = 5
_holds = ContextVar("holds", default=False)  # True: the request holds memory from the first byte of its form on


class UploadMemory:
    """A budget in bytes.

    A half holds the chunk or segment that each admitted request fills: an ordered request fills one chunk at a time, a
    parallel one all chunks of its segment. A quarter holds bytes that have arrived and that no request has taken yet.
    The last quarter holds whole chunks until the chunk service has stored them. When it is short, requests send shorter
    segments, and wait before they read on; `reclaim` is called, which frees chunks that are kept only to be hashed.
    """

    def __init__(self, limit_bytes: int, *, turn_seconds: float = TURN_SECONDS) -> None:
        chunks = max(4, limit_bytes // CHUNK_BYTES)
        requests = chunks // 2
        self._most_each = max(1, requests * 3 // 4)
        self._requests = FairSlots(limit=requests, limit_each=self._most_each)
        on_their_way = chunks // 4
        self._free_chunks = asyncio.Semaphore(on_their_way)
        self.segment_chunks = max(1, on_their_way // 4)  # of large files: short enough that several are on their way
        self._turn_seconds = turn_seconds
        self.reclaim: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def hold(self, account: str, *, chunks: int = 1) -> AsyncGenerator[None]:
        """Hold the memory that a request fills. Raises UploadsBusy if there is not enough of it for `turn_seconds`.

        One account holds at most three quarters of it, so the rest is free for other accounts. A segment that is longer
        than that waits until its account holds nothing.
        """
        if _holds.get():
            yield
            return
        busy = UploadsBusy(
            "The server, or your account, receives as many uploads at once as it may; "
            f"try again in {TRY_AGAIN_SECONDS} s.",
            retry_after_seconds=TRY_AGAIN_SECONDS,
        )
        count = min(chunks, self._most_each)
        async with self._requests.hold(account, count=count, turn_seconds=self._turn_seconds, busy=busy):
            yield

    @asynccontextmanager
    async def hold_for_form(self, account: str) -> AsyncGenerator[None]:
        """Hold what `hold` holds. Inside the context, `hold` takes no more for the files of the form.

        The bytes before a file, and the first ones of the file, are read before the file is registered. Without this,
        requests that wait for their turn would hold a mebibyte each.
        """
        async with self.hold(account):
            before = _holds.set(True)
            try:
                yield
            finally:
                _holds.reset(before)

    @property
    def is_short(self) -> bool:
        """Return whether a whole chunk would have to wait for memory."""
        return self._free_chunks.locked()

    async def take_chunk(self) -> None:
        """Wait for the memory of one whole chunk on its way."""
        if self.is_short:
            self.reclaim()
        await self._free_chunks.acquire()

    async def take_free_chunks(self, count: int) -> bool:
        """Take the memory of whole chunks if it is free, without waiting. Return whether it was."""
        for taken in range(count):
            if self.is_short:
                self.free_chunks(taken)
                return False
            await self._free_chunks.acquire()  # a semaphore that is not short does not wait
        return True

    def free_chunks(self, count: int) -> None:
        for _ in range(count):
            self._free_chunks.release()
