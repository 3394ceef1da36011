"""Faults of deliveries that go through a stage: kills at random bytes, and stages that somebody changed meanwhile."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.catalogue import fault
from tests.faults.stored import SentDelivery, StoredFile
from tests.faults.traced import injecting
from tests.faults.world import MIB, WORKERS, World, wait_for

LENGTH = 72 * MIB
STRIKE_SECONDS = 30
RECOVERY_SECONDS = 45
WRITE_SECONDS = 0.05  # of a block of 1 MiB


@dataclass(frozen=True, kw_only=True)
class Killed:
    """A delivery whose worker was killed while it wrote, and the stage that it has left."""

    delivery: SentDelivery
    stage: Path
    held_bytes: int


@fault(36, stage="finalize", title="directory: kill -9 at a random byte, the next attempt goes on from there")
def killed_at_a_random_byte(world: World) -> None:
    killed = kill_while_writing(world)
    with world.recovers():
        receipt = killed.delivery.delivered(seconds=RECOVERY_SECONDS)["receipt"]
    assert receipt["sent_in_attempts"][-1] <= LENGTH - killed.held_bytes + MIB, "bytes that the stage held were sent"
    assert killed.delivery.record()["attempts"] == 2


@fault(37, stage="finalize", title="directory: the stage of a killed worker is removed, or has other bytes")
def stage_changed_by_somebody(world: World) -> None:
    for change in world.rng.sample([_remove, _damage], 2):
        killed = kill_while_writing(world, before_the_next=change)
        with world.recovers():
            receipt = killed.delivery.delivered(seconds=RECOVERY_SECONDS)["receipt"]
        assert receipt["sent_in_attempts"][-1] == LENGTH, "the object was not sent anew"


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


def kill_while_writing(world: World, *, before_the_next: Callable[[Path], None] | None = None) -> Killed:
    """Kill the worker child of a new delivery at a random byte. Nobody goes on before `before_the_next` has ended."""
    file = StoredFile.make(world, LENGTH)
    at = world.rng.randrange(1, LENGTH * 2 // 3)
    with _slow_writes(world):
        delivery = file.deliver("directory", folder=f"at{at}")
        stage = _stage_of(delivery)
        wait_for(lambda: _length_of(stage) >= at, seconds=STRIKE_SECONDS, what="the worker writes")
        child = delivery.holder()
        child.suspend()
    held = _length_of(stage)
    assert 0 < held < LENGTH, "the worker was not stopped in the middle"
    if before_the_next is not None:
        before_the_next(stage)
    child.kill()
    return Killed(delivery=delivery, stage=stage, held_bytes=held)


def _slow_writes(world: World) -> AbstractContextManager[None]:
    """Let each write of a worker to a directory take so long that the row acts in the middle."""
    children = [child for worker in WORKERS for child in world.process(worker).children()]
    return injecting(children, calls="pwrite64", effect=f"delay_exit={WRITE_SECONDS * 1_000_000:.0f}")


def _misses_its_target(delivery: SentDelivery) -> bool:
    error = delivery.view()["error"]
    return error is not None and error["code"] == "target_unavailable"


def _length_of(stage: Path) -> int:
    return stage.stat().st_size if stage.exists() else 0


def _stage_of(delivery: SentDelivery) -> Path:
    def look() -> Path | None:
        return next(iter(delivery.temporary_names()), None)

    return wait_for(look, seconds=STRIKE_SECONDS, what="the stage is there")


def _remove(stage: Path) -> None:
    stage.unlink()


def _damage(stage: Path) -> None:
    with stage.open("r+b") as file:
        file.write(b"other bytes")
