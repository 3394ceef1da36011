"""Many small files are sent behind more large files than there are worker children."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from statistics import quantiles

from redis.exceptions import RedisError

from tests.faults.catalogue import fault
from tests.faults.world import MIB, World, wait_for

SMALL_BYTES = 64 << 10
LARGE_FILES = 6
LOOK_SECONDS = 0.05
BESIDE = 0.1  # at least this fraction of the small files is stored before the last large one
WAITED = "the small files waited for the large ones"
GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Load:
    small_files: int
    large_bytes: int
    seconds: float  # in which all files must be delivered


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds since the first file was prepared."""

    stored: float
    delivered: float


@fault(31, stage="load", title="60 small files behind six of 72 MiB", alone=True)
def small_behind_large(world: World) -> None:
    _carry(world, Load(small_files=60, large_bytes=72 * MIB, seconds=90))


@fault("load", stage="load", title="1,000 files of 64 KiB behind six of 2 GiB", only_when_named=True, alone=True)
def thousand_behind_large(world: World) -> None:
    _carry(world, Load(small_files=1000, large_bytes=2 * GIB, seconds=1500))


def _carry(world: World, load: Load) -> None:
    files = LARGE_FILES + load.small_files
    small = [world.make_file(SMALL_BYTES) for _ in range(load.small_files)]
    large = [world.stand.sources.make_zeros(load.large_bytes) for _ in range(LARGE_FILES)]
    with _most_queued(world) as depths:
        large_ids = [world.send(path, to="directory") for path in large]
        small_ids = [world.send(path, to="hashed") for path in small]
        _wait_for_all(world, files, seconds=load.seconds)
    assert max(depths) <= files, f"{max(depths)} messages waited for {files} files"
    times = _times(world)
    small_times, large_times = [times[each] for each in small_ids], [times[each] for each in large_ids]
    last_large = max(large.stored for large in large_times)
    assert min(small.stored for small in small_times) < min(large.stored for large in large_times), WAITED
    beside = sum(small.stored < last_large for small in small_times)
    assert beside >= BESIDE * len(small_ids), f"{WAITED}: {beside} were stored before the last large one"
    p95 = quantiles([small.delivered for small in small_times], n=20)[-1]
    last = max(times.values(), key=lambda one: one.delivered)
    world.notes.append(
        f"{load.small_files} small: p95 {p95:.1f} s, {beside} stored beside the large ones; "
        f"all {files}: {last.delivered:.1f} s; at most {max(depths)} messages waited"
    )


@contextmanager
def _most_queued(world: World) -> Iterator[list[int]]:
    """Yield a list to which a thread keeps adding the number of messages that wait."""
    depths = [0]
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(LOOK_SECONDS):
            with suppress(RedisError):
                depths.append(world.queued())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield depths
    finally:
        stop.set()
        thread.join()


def _wait_for_all(world: World, files: int, *, seconds: float) -> None:
    """Wait until all files are delivered. Fail at once when a file or a delivery is FAILED."""
    with world.operator.database() as database:

        def all_delivered() -> bool:
            for name in ("files", "deliveries"):
                failed = database[name].find_one({"state": "FAILED"})
                assert failed is None, failed
            return bool(database["deliveries"].count_documents({"state": "DELIVERED"}) == files)

        wait_for(all_delivered, seconds=seconds, what=f"{files} files are delivered")


def _times(world: World) -> dict[str, Times]:
    """Return the times of each file by its id. A delivery is made when its file is stored."""
    with world.operator.database() as database:
        made = {file["_id"]: file["created_at"] for file in database["files"].find()}
        began = min(made.values())
        return {
            str(delivery["file_id"]): Times(
                stored=(delivery["created_at"] - began).total_seconds(),
                delivered=(delivery["ended_at"] - began).total_seconds(),
            )
            for delivery in database["deliveries"].find()
        }
