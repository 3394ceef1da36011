"""`DiskReserve`: how many bytes it lets in as the disk fills up."""

import pytest

from chunk_service.intake_limits import DiskReserve
from gridhaul.transfer.chunking import SEGMENT_MAX_BYTES
from gridhaul.transfer.errors import StorageFull
from gridhaul.transfer.model import FreeSpace

RESERVE = 1000


@pytest.mark.parametrize(
    ("disk", "reusable", "room"),
    [
        (1300, 0, 300),
        (1300, 50, 350),
        (1000, 0, 0),
        (900, 400, 300),  # below the reserve, only the space of deleted chunks is used
        (900, 100, 0),
        (600, 5000, 100),  # half of the reserve stays free, whatever is reusable
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


@pytest.mark.parametrize("missing_bytes", [0, 1])
async def test_check_asks_for_the_room_of_a_segment_and_uses_none(missing_bytes: int) -> None:
    async def free_space() -> FreeSpace:
        return FreeSpace(disk_bytes=RESERVE + SEGMENT_MAX_BYTES - missing_bytes, reusable_bytes=0)

    reserve = DiskReserve(free_space, reserve_bytes=RESERVE)
    if missing_bytes:
        with pytest.raises(StorageFull):
            await reserve.check()
    else:
        await reserve.check()
        await reserve.require(SEGMENT_MAX_BYTES)
