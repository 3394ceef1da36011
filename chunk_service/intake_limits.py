"""How much the chunk service takes in: bytes in memory at once, and no more than the disk has room for."""

import time
from collections.abc import Awaitable, Callable

from gridhaul.asgi.concurrency_limit import ConcurrencyLimit
from gridhaul.transfer.errors import IntakeBusy, StorageFull
from gridhaul.transfer.model import FreeSpace

LOOK_AGAIN_SECONDS = 2.0


def memory_budget(limit_bytes: int) -> ConcurrencyLimit:
    """The bytes of segments that are being taken in: the worker that sent them can send them again."""
    return ConcurrencyLimit(
        limit_bytes,
        lambda: IntakeBusy("The chunk service has as many segments in hand as its memory allows; send it again."),
    )


class DiskReserve:
    """Keeps a reserve free: MongoDB dies on a full disk, and restarting does not heal it.

    Below the reserve only the space is used that deleted chunks have left inside the database's files, and not even
    that below half of the reserve: writing there needs some disk as well.
    """

    def __init__(self, free_space: Callable[[], Awaitable[FreeSpace]], *, reserve_bytes: int) -> None:
        self._free_space = free_space
        self._reserve = reserve_bytes
        self._room = 0
        self._look_again_at = 0.0

    async def require(self, length_bytes: int) -> None:
        """Raises StorageFull if `length_bytes` more would use the reserve. Looks at the disk every two seconds."""
        if time.monotonic() >= self._look_again_at:
            self._room = self._room_in(await self._free_space())
            self._look_again_at = time.monotonic() + LOOK_AGAIN_SECONDS
        if length_bytes > self._room:
            raise StorageFull("The disk of the database is full up to its reserve.", retry_after_seconds=30)
        self._room -= length_bytes

    def _room_in(self, space: FreeSpace) -> int:
        room = space.disk_bytes - self._reserve
        return min(room + space.reusable_bytes, room + self._reserve // 2)
