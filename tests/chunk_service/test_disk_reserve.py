"""How much is let in as the disk fills up."""

import pytest

from chunk_service.intake_limits import DiskReserve
from gridhaul.transfer.errors import StorageFull
from gridhaul.transfer.model import FreeSpace

RESERVE = 1000


@pytest.mark.parametrize(
    ("disk", "reusable", "room"),
    [
        (1300, 0, 300),
        (1300, 50, 350),
        (1000, 0, 0),
        (900, 400, 300),  # what was deleted is used again
        (900, 100, 0),
        (600, 5000, 100),  # but not to the last byte of the disk
        (500, 5000, 0),
        (0, 5000, -500),
    ],
)
async def test_room(disk: int, reusable: int, room: int) -> None:
    async def free_space() -> FreeSpace:
        return FreeSpace(disk_bytes=disk, reusable_bytes=reusable)

    reserve = DiskReserve(free_space, reserve_bytes=RESERVE)
    with pytest.raises(StorageFull):
        await reserve.require(max(room, 0) + 1)
    if room > 0:
        await reserve.require(room)
        with pytest.raises(StorageFull):
            await reserve.require(1)
