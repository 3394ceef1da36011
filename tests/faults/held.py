"""Files that stand still in the middle of being stored: nothing that a row does then comes too early or too late."""

from dataclasses import dataclass
from pathlib import Path

from tests.faults.world import MIB, World, wait_for
from tests.servers.disturbances import Hold, Side

SEGMENT_BYTES = 16 * MIB
IN_FLIGHT = 2  # segments that a worker sends at once
HELD_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class HeldFile:
    """So many segments are read and stored, the next ones are on their way, and one at least is not read."""

    file_id: str
    segments: int
    hold: Hold

    @property
    def read_bytes(self) -> int:
        return self.segments * SEGMENT_BYTES

    def release(self) -> None:
        self.hold.release()


def hold_in_mid_file(world: World, source: Path, *, to: str, after_bytes: int = 0) -> HeldFile:
    """Send the source, alone; all segments in flight stand still after so many bytes. 0 is before their heads."""
    segments = world.rng.randrange(1, source.stat().st_size // SEGMENT_BYTES - IN_FLIGHT)
    hold = Hold(side=Side.REQUEST, after_bytes=after_bytes)
    planned = world.proxies["chunk_service"].plan(hold, method="PUT", skip=segments, times=IN_FLIGHT)
    file_id = world.send(source, to=to)
    wait_for(lambda: planned.hits == IN_FLIGHT, seconds=HELD_SECONDS, what="the file is half stored")
    return HeldFile(file_id=file_id, segments=segments, hold=hold)
