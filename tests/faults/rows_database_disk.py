"""The disk of the database fills up: work is refused before `mongod` dies, waits, and goes on."""

import http
import time
from datetime import UTC, datetime

from chunk_service.intake_limits import LOOK_AGAIN_SECONDS
from tests.faults.catalogue import fault
from tests.faults.world import MIB, World, wait_for
from tests.journeys.operator import FINAL
from tests.servers.disturbances import Hold, Side
from tests.servers.small_disk import SmallDisk

DISK_BYTES = 800 * MIB
RESERVE_BYTES = 200 * MIB
SEGMENT_BYTES = 16 * MIB
LENGTH = 6 * SEGMENT_BYTES
DELETED_LENGTH, KEPT_LENGTH = 100 * MIB, 20 * MIB
MAX_ATTEMPTS = 2
LONGEST_WAIT_SECONDS = 31
REFUSED_SECONDS = 30
OVER_SECONDS = 60

SETTINGS = {"GRIDHAUL_DISK_RESERVE_BYTES": str(RESERVE_BYTES), "GRIDHAUL_MAX_ATTEMPTS": str(MAX_ATTEMPTS)}


@fault(21, stage="database", title="disk nearly full in mid-file", settings=SETTINGS, disk_bytes=DISK_BYTES)
def disk_fills_up(world: World) -> None:
    disk = _disk(world)
    hold = Hold(side=Side.REQUEST, after_bytes=0)
    held = world.proxies["chunk_service"].plan(hold, method="PUT", skip=world.rng.randint(0, 2), times=2)
    file_id = world.send(world.make_file(LENGTH), to="hashed")
    wait_for(lambda: held.hits == 2, seconds=REFUSED_SECONDS, what="the file is on its way")
    _fill(disk, left=world.rng.randrange(SEGMENT_BYTES))
    hold.release()
    for times in range(1, MAX_ATTEMPTS + 2):
        wait_for(lambda n=times: _refused(world) >= n, seconds=REFUSED_SECONDS, what="the chunk service answers 507")  # type: ignore[misc]
        _require_waiting(world, file_id)
        assert disk.mongod.process.poll() is None, "mongod died"
        assert disk.free_bytes > RESERVE_BYTES // 2, "the reserve was used"
        world.let_wait_pass(file_id)
    disk.make_room()
    with world.recovers():
        wait_for(lambda: _goes_on(world, file_id), seconds=OVER_SECONDS, what="the file goes on")
    delivery = world.operator.delivered(file_id)
    assert delivery["attempts"] == 1
    assert disk.mongod.process.poll() is None, "mongod died"


@fault(21, stage="database", title="disk full, another file deleted", settings=SETTINGS, disk_bytes=DISK_BYTES)
def file_deleted_on_full_disk(world: World) -> None:
    disk = _disk(world)
    old = _stored(world, DELETED_LENGTH)
    _stored(
        world, KEPT_LENGTH
    )  # stored behind the old file: deleting the old file then leaves a hole in MongoDB's data file
    left = world.rng.randrange(SEGMENT_BYTES)
    _fill(disk, left=left)
    new = world.send(world.make_file(left + _reusable_bytes(world) + SEGMENT_BYTES), to="hashed")
    wait_for(lambda: _refused(world) > 0, seconds=REFUSED_SECONDS, what="the chunk service answers 507")
    _require_waiting(world, new)
    with world.recovers():
        assert world.operator.http.delete(f"/files/{old}").is_success
        wait_for(lambda: _goes_on(world, new), seconds=OVER_SECONDS, what="the file goes on")
    world.operator.delivered(new)
    assert disk.free_bytes > RESERVE_BYTES // 2, "the reserve was used"
    assert disk.mongod.process.poll() is None, "mongod died"


def _fill(disk: SmallDisk, *, left: int) -> None:
    """Fill the disk until `left` bytes are free above the reserve, and wait until the chunk service knows."""
    disk.fill(leaving=RESERVE_BYTES + left)
    time.sleep(LOOK_AGAIN_SECONDS)  # so long the chunk service relies on its last look at the disk


def _stored(world: World, length: int) -> str:
    """Store and deliver a file, and have MongoDB write it to its data files. Return the file's id."""
    file_id = world.send(world.make_file(length), to="hashed")
    world.operator.delivered(file_id, seconds=OVER_SECONDS)
    _checkpoint(world)
    return file_id


def _disk(world: World) -> SmallDisk:
    assert world.stand.disk is not None
    return world.stand.disk


def _refused(world: World) -> int:
    """Return how often the chunk service answered that it has no room."""
    statuses = [seen.status for seen in list(world.proxies["chunk_service"].requests)]
    return statuses.count(http.HTTPStatus.INSUFFICIENT_STORAGE)


def _require_waiting(world: World, file_id: str) -> None:
    """Require that the file waits with the error `storage_full`, has used up no attempt, and is due again soon."""

    def waiting() -> bool:
        file = world.operator.file(file_id)
        assert file["state"] in ("REGISTERED", "STORING"), file
        return file["state"] == "REGISTERED" and file["error"] is not None

    wait_for(waiting, seconds=REFUSED_SECONDS, what="the file waits")
    record = world.record("files", file_id)
    assert record["error"]["code"] == "storage_full", record["error"]
    assert record["fruitless_attempts"] == 0
    seconds = (record["next_attempt_at"] - datetime.now(UTC)).total_seconds()
    assert seconds < LONGEST_WAIT_SECONDS, f"the file waits for {seconds:.0f} s"


def _checkpoint(world: World) -> None:
    """Make MongoDB write a checkpoint, which frees the space of deleted documents, now instead of within a minute."""
    with world.operator.database() as database:
        database.client.admin.command("fsync")


def _reusable_bytes(world: World) -> int:
    """Return the bytes of holes in the database's files, which are filled even when only the reserve is free."""
    with world.operator.database() as database:
        return int(database.command("dbStats", freeStorage=1)["freeStorageSize"])


def _goes_on(world: World, file_id: str) -> bool:
    state = world.operator.file(file_id)["state"]
    assert state not in FINAL, state
    if state == "REGISTERED":
        world.let_wait_pass(file_id)
        _checkpoint(world)
    return bool(state == "STORED")
