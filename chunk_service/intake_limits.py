"""Limits of what the chunk service accepts: bytes in memory at once, and bytes that the disk has room for."""

import time
from collections.abc import Awaitable, Callable

from gridhaul.asgi.concurrency_limit import ConcurrencyLimit
from gridhaul.transfer.chunking import SEGMENT_MAX_BYTES
from gridhaul.transfer.errors import DISK_FULL, IntakeBusy, StorageFull
from gridhaul.transfer.model import FreeSpace

LOOK_AGAIN_SECONDS = 2.0


def memory_budget(limit_bytes: int) -> ConcurrencyLimit:
    """Return the limit of bytes that requests may hold in memory at once. A refused worker sends its request again."""
    return ConcurrencyLimit(
        limit_bytes,
        lambda: IntakeBusy("The chunk service holds as many bytes as its memory limit allows; send the request again."),
    )


class DiskReserve:
    """A reserve of the database's disk that stays free: MongoDB crashes on a full disk, and a restart does not help.

    While less than the reserve is free, new chunks may only use the space that deleted chunks have left inside the
    database's files. While less than half of the reserve is free, no chunk is accepted, because even writing to that
    space needs some disk.
    """

    def __init__(self, free_space: Callable[[], Awaitable[FreeSpace]], *, reserve_bytes: int) -> None:
        self._free_space = free_space
        self._reserve = reserve_bytes
        self._room = 0
        self._look_again_at = 0.0

    async def require(self, length_bytes: int) -> None:
        """Raise StorageFull if `length_bytes` more would use the reserve. The disk is looked at every two seconds."""
        await self._look()
        self._require(length_bytes)
        self._room -= length_bytes

    async def check(self) -> None:
        """Raise StorageFull if a segment of the greatest length would use the reserve. The check uses up no room."""
        await self._look()
        self._require(SEGMENT_MAX_BYTES)

    async def _look(self) -> None:
        if time.monotonic() >= self._look_again_at:
            self._room = self._room_in(await self._free_space())
            self._look_again_at = time.monotonic() + LOOK_AGAIN_SECONDS

    def _require(self, length_bytes: int) -> None:
        if length_bytes > self._room:
            raise StorageFull(DISK_FULL, retry_after_seconds=30)

    def _room_in(self, space: FreeSpace) -> int:
        room = space.disk_bytes - self._reserve
        return min(room + space.reusable_bytes, room + self._reserve // 2)
