"""How much the chunk service takes in: bytes in memory at once, and no more than the disk has room for."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from gridhaul.transfer.errors import IntakeBusy, StorageFull

LOOK_AGAIN_SECONDS = 2.0


class MemoryBudget:
    """A semaphore counted in bytes that refuses instead of waiting: the worker holds the bytes better than we do."""

    def __init__(self, limit_bytes: int) -> None:
        self._free = limit_bytes

    @contextmanager
    def reserve(self, length_bytes: int) -> Iterator[None]:
        """Hold `length_bytes` while a segment is taken in. Raises IntakeBusy."""
        if length_bytes > self._free:
            raise IntakeBusy("The chunk service has as many segments in hand as its memory allows; send it again.")
        self._free -= length_bytes
        try:
            yield
        finally:
            self._free += length_bytes


class DiskReserve:
    """Keeps a reserve free: MongoDB dies on a full disk, and restarting does not heal it."""

    def __init__(self, free_bytes: Callable[[], Awaitable[int]], *, reserve_bytes: int) -> None:
        self._free_bytes = free_bytes
        self._reserve = reserve_bytes
        self._room = 0
        self._look_again_at = 0.0

    async def require(self, length_bytes: int) -> None:
        """Raises StorageFull if `length_bytes` more would use the reserve. Looks at the disk every two seconds."""
        if time.monotonic() >= self._look_again_at:
            self._room = await self._free_bytes() - self._reserve
            self._look_again_at = time.monotonic() + LOOK_AGAIN_SECONDS
        if length_bytes > self._room:
            raise StorageFull("The disk of the database is full up to its reserve.", retry_after_seconds=30)
        self._room -= length_bytes
