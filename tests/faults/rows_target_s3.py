"""Row 27 of S3 targets: other bytes arrive as a part, or the committed object has other bytes.

An S3 object has no temporary name. A part of other bytes is noticed by its digest, so it does not count, and is sent
again. An object that its server has damaged is noticed right after the commit, where no digest of the parts is proved.
"""

import os
import shutil
from pathlib import Path

from tests.faults.catalogue import fault
from tests.faults.protocols import PART_BYTES
from tests.faults.rows_target import deliver_disturbed, flip
from tests.faults.stored import StoredFile
from tests.faults.world import MIB, World
from tests.servers.disturbances import Flip, Hold, Side

LENGTH = 40 * MIB
SHORTEST_PART_BYTES = LENGTH % PART_BYTES
HELD_SECONDS = 30


@fault(27, stage="finalize", title="s3 (rclone, SeaweedFS): other bytes arrive as a part, which is sent again")
def part_arrives_damaged(world: World) -> None:
    world.start_seaweedfs()
    file = StoredFile.make(world, LENGTH)
    disturbed = []
    for target in ("s3", "seaweedfs"):
        flip = Flip(side=Side.REQUEST, at_byte=world.rng.randrange(SHORTEST_PART_BYTES), bit=world.rng.randrange(8))
        disturbed.append(deliver_disturbed(world, file, target, flip, method="PUT"))
    with world.recovers():
        for each in disturbed:
            each.retried()


@fault(27, stage="finalize", title="s3 (rclone): the committed object has other bytes, is found wrong and removed")
def object_is_damaged(world: World) -> None:
    file = StoredFile.make(world, LENGTH)
    hold = Hold(side=Side.REQUEST, after_bytes=0)
    read_back = deliver_disturbed(world, file, "s3", hold, method="GET")
    delivery = read_back.delivery
    read_back.planned.wait(HELD_SECONDS)
    _damage(world, delivery.path)
    hold.release()
    view = delivery.failed("target_mismatch")
    assert view["attempts"] == 1, view


def _damage(world: World, path: Path) -> None:
    """Flip a bit of the object, as its disk may do. The watcher may see that: S3 shows objects before their check."""
    at_byte, mask = world.rng.randrange(LENGTH), 1 << world.rng.randrange(8)
    copy = world.stand.root / "damaged"
    shutil.copyfile(path, copy)
    flip(copy, at_byte, mask)
    world.accept(copy)
    copy.unlink()
    times = path.stat()
    flip(path, at_byte, mask)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # rclone keeps the metadata of an object with this time
