"""Faults of deliveries that go through a stage: kills at random bytes, lost answers, and stages that others changed."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.faults.catalogue import fault
from tests.faults.stored import SentDelivery, StoredFile
from tests.faults.traced import injecting
from tests.faults.world import MIB, WORKERS, World, wait_for
from tests.servers.disturbances import LoseAnswer

LENGTH = 72 * MIB
LONGER = 256 * MIB
STRIKE_SECONDS = 30
RECOVERY_SECONDS = 45
WRITE_SECONDS = 0.05  # of a block of 1 MiB in a directory
AGAIN = {"directory": MIB, "sftp": 33 * MIB, "s3": 80 * MIB}  # bytes that may be sent again: docs/targets.md


@dataclass(frozen=True, kw_only=True)
class Killed:
    """A delivery whose worker was killed while it wrote, and the stage that it has left."""

    delivery: SentDelivery
    held_bytes: int


@fault(36, stage="finalize", title="directory: kill -9 at a random byte, the next attempt goes on from there")
def killed_at_a_random_byte_of_a_directory(world: World) -> None:
    _require_goes_on(world, kill_while_writing(world, "directory", LENGTH), LENGTH)


@fault(36, stage="finalize", title="sftp: kill -9 at a random byte, the next attempt goes on from there")
def killed_at_a_random_byte_of_sftp(world: World) -> None:
    _require_goes_on(world, kill_while_writing(world, "sftp", LONGER), LONGER)


@fault(36, stage="finalize", title="s3: kill -9 at a random byte, the next attempt goes on from there")
def killed_at_a_random_byte_of_s3(world: World) -> None:
    _require_goes_on(world, kill_while_writing(world, "s3", LONGER), LONGER)


@fault(37, stage="finalize", title="directory, sftp: the stage of a killed worker is removed, or has other bytes")
def stage_changed_by_somebody(world: World) -> None:
    for change, target in zip(world.rng.sample([_remove, _damage], 2), ("directory", "sftp"), strict=True):
        length = LENGTH if target == "directory" else LONGER
        killed = kill_while_writing(world, target, length, before_the_next=change)
        with world.recovers():
            receipt = killed.delivery.delivered(seconds=RECOVERY_SECONDS)["receipt"]
        assert receipt["sent_in_attempts"][-1] == length, "the object was not sent anew"


@fault(37, stage="finalize", title="s3, webdav: the answer to Complete, and to MOVE, is lost")
def answer_to_commit_lost(world: World) -> None:
    for target, method in (("s3", "POST"), ("webdav", "MOVE")):
        name = {"s3": "uploadId=", "webdav": ""}[target]
        planned = world.proxies[target].plan(LoseAnswer(), method=method, part_of_target=name)
        delivery = StoredFile.make(world, LENGTH).deliver(target)
        with world.recovers():
            receipt = delivery.delivered(seconds=RECOVERY_SECONDS)["receipt"]
        assert planned.hits == 1
        assert receipt["sent_in_attempts"] == [LENGTH], "the object was sent twice"


@fault(38, stage="finalize", title="directory: its disk goes away while a worker writes, and another one is beneath")
def disk_goes_away(world: World) -> None:
    disk = world.remotes["directory"]
    away = disk.with_name("away")
    with _slow_writes(world):
        delivery = StoredFile.make(world, LENGTH).deliver("directory")
        stage = _stage_of(delivery)
        wait_for(lambda: _length_of(stage) > 0, seconds=STRIKE_SECONDS, what="the worker writes")
        disk.rename(away)
        disk.mkdir()
    try:
        wait_for(lambda: _misses_its_target(delivery), seconds=RECOVERY_SECONDS, what="the worker misses its disk")
        assert list(disk.iterdir()) == [], "the worker wrote to the disk beneath"
    finally:
        disk.rmdir()
        away.rename(disk)
    delivery.retry()
    with world.recovers():
        delivery.delivered(seconds=RECOVERY_SECONDS)


def kill_while_writing(
    world: World, target: str, length: int, *, before_the_next: Callable[[Path], None] | None = None
) -> Killed:
    """Kill the worker child of a new delivery at a random byte. Nobody goes on before `before_the_next` has ended."""
    file = StoredFile.make(world, length)
    at = world.rng.randrange(length // 8, length // 3)
    with _slow_writes(world) if target == "directory" else nullcontext():
        delivery = file.deliver(target, folder=f"at{at}")
        wait_for(lambda: _held_bytes(delivery) >= at, seconds=STRIKE_SECONDS, what="the worker writes")
        child = delivery.holder()
        child.suspend()
    held = _held_bytes(delivery)
    assert 0 < held < length, "the worker was not stopped in the middle"
    if before_the_next is not None:
        before_the_next(_stage_of(delivery))
    child.kill()
    return Killed(delivery=delivery, held_bytes=held)


def _require_goes_on(world: World, killed: Killed, length: int) -> None:
    with world.recovers():
        receipt = killed.delivery.delivered(seconds=RECOVERY_SECONDS)["receipt"]
    most = length - killed.held_bytes + AGAIN[killed.delivery.target]
    assert receipt["sent_in_attempts"][-1] <= most, "bytes that the stage held were sent"
    assert killed.delivery.record()["attempts"] == 2


def _slow_writes(world: World) -> AbstractContextManager[None]:
    """Let each write of a worker to a directory take so long that the row acts in the middle."""
    children = [child for worker in WORKERS for child in world.process(worker).children()]
    return injecting(children, calls="pwrite64", effect=f"delay_exit={WRITE_SECONDS * 1_000_000:.0f}")


def _misses_its_target(delivery: SentDelivery) -> bool:
    error = delivery.view()["error"]
    return error is not None and error["code"] == "target_unavailable"


def _held_bytes(delivery: SentDelivery) -> int:
    """Return how many bytes the stage has: of a temporary object its length, of an upload what the record confirms."""
    if delivery.target == "s3":
        return int((delivery.record().get("stage") or {}).get("offset", 0))
    return sum(_length_of(stage) for stage in delivery.temporary_names())


def _stage_of(delivery: SentDelivery) -> Path:
    def look() -> Path | None:
        return next(iter(delivery.temporary_names()), None)

    return wait_for(look, seconds=STRIKE_SECONDS, what="the stage is there")


def _length_of(stage: Path) -> int:
    return stage.stat().st_size if stage.exists() else 0


def _remove(stage: Path) -> None:
    stage.unlink()


def _damage(stage: Path) -> None:
    with stage.open("r+b") as file:
        file.write(b"other bytes")
