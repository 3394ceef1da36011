"""Files that stand still half stored, so that a row acts neither too early nor too late."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.world import MIB, World, wait_for
from tests.servers.disturbances import Hold, Side

SEGMENT_BYTES = 16 * MIB
IN_FLIGHT = 2  # segments that a worker sends at once
HELD_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class HeldFile:
    """A file with `segments` segments stored, the next ones held in flight, and at least one not yet sent."""

    file_id: str
    segments: int
    hold: Hold

    @property
    def read_bytes(self) -> int:
        return self.segments * SEGMENT_BYTES

    def release(self) -> None:
        self.hold.release()


def hold_in_mid_file(world: World, source: Path, *, to: str, after_bytes: int = 0) -> HeldFile:
    """Send the source, and do what `hold_while_stored` does."""
    length = source.stat().st_size
    return hold_while_stored(world, lambda: world.send(source, to=to), length=length, after_bytes=after_bytes)


def hold_while_stored(world: World, begin: Callable[[], str], *, length: int, after_bytes: int = 0) -> HeldFile:
    """Begin a file, and hold every segment in flight after `after_bytes` bytes of its body (0: before its head).

    `begin` returns the id of a file of `length` bytes that a worker stores. No other file may be on its way to the
    chunk service meanwhile, because the proxy holds any segment.
    """
    segments = world.rng.randrange(1, length // SEGMENT_BYTES - IN_FLIGHT)
    hold = Hold(side=Side.REQUEST, after_bytes=after_bytes)
    planned = world.proxies["chunk_service"].plan(hold, method="PUT", skip=segments, times=IN_FLIGHT)
    file_id = begin()
    wait_for(lambda: planned.hits == IN_FLIGHT, seconds=HELD_SECONDS, what="the file is half stored")
    return HeldFile(file_id=file_id, segments=segments, hold=hold)
