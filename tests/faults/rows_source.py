"""Faults of the source: the file changes or disappears before, while and after a worker reads it."""

import mmap
import os
from collections.abc import Callable
from pathlib import Path

from tests.faults.catalogue import fault
from tests.faults.held import SEGMENT_BYTES, hold_in_mid_file
from tests.faults.world import MIB, WORKERS, World, wait_for
from tests.journeys.operator import Json

LENGTH = 5 * SEGMENT_BYTES + 1
STRIKE_SECONDS = 30
OVER_SECONDS = 45

Change = Callable[[Path, int], None]  # takes the path, and how many bytes have been read for certain


@fault(11, stage="store", title="source truncated, grown, rewritten while it is read")
def source_changed(world: World) -> None:
    rng = world.rng

    def truncate(path: Path, _: int) -> None:
        os.truncate(path, rng.randrange(LENGTH))

    def grow(path: Path, _: int) -> None:
        with path.open("ab") as file:
            file.write(os.urandom(rng.randint(1, MIB)))

    def rewrite(path: Path, _: int) -> None:
        _flip_byte(path, rng.randrange(LENGTH))

    _require_change_seen(world, truncate, grow, rewrite)


@fault(11, stage="store", title="source rewritten while it is read, also through mmap, with its mtime put back")
def source_changed_behind_its_mtime(world: World) -> None:
    def rewrite(path: Path, read: int) -> None:
        _with_mtime_put_back(path, lambda: _flip_byte(path, world.rng.randrange(read)))

    def rewrite_mapped(path: Path, read: int) -> None:
        _with_mtime_put_back(path, lambda: _flip_mapped_byte(path, world.rng.randrange(read)))

    _require_change_seen(world, rewrite, rewrite_mapped)


@fault(11, stage="store", title="source linked, chmod-ed, unlinked while it is read")
def source_only_touched(world: World) -> None:
    changes: list[Change] = [
        lambda path, _: os.link(path, path.with_suffix(".link")),
        lambda path, _: path.chmod(0o400),
        lambda path, _: path.unlink(),
    ]
    for change in changes:
        file_id = _change_in_mid_file(world, change)
        with world.recovers():
            world.operator.delivered(file_id, seconds=OVER_SECONDS)
        assert world.operator.file(file_id)["attempts"] == 1


@fault(12, stage="store", title="source replaced by rename between two runs, with its size and mtime")
def source_replaced(world: World) -> None:
    source, other = world.make_file(LENGTH), world.make_file(LENGTH)
    held = hold_in_mid_file(world, source, to="hashed")
    fence = world.record("files", held.file_id)["fence"]
    child = world.holder(held.file_id)
    child.kill()
    child.wait(STRIKE_SECONDS)
    held.release()
    _with_mtime_put_back(source, lambda: other.replace(source))
    with world.recovers():
        _require_failed(world, held.file_id, "source_changed")
    assert world.record("files", held.file_id)["fence"] > fence, "the first run saw the change"


@fault(13, stage="store", title="source deleted before the start")
def source_deleted_before(world: World) -> None:
    with world.paused(*(world.process(worker) for worker in WORKERS)):
        sources = [world.make_file(world.rng.randrange(length)) for length in (2 * MIB, 20 * MIB, 100 * MIB)]
        files = [world.send(source, to="hashed") for source in sources]
        for source in sources:
            source.unlink()
    for file_id in files:
        with world.recovers():
            file = _require_failed(world, file_id, "source_missing")
        assert file["stored_bytes"] == 0
    assert not world.proxies["chunk_service"].requests, "a request was sent to the chunk service"


@fault(13, stage="store", title="source deleted after opening")
def source_deleted_after(world: World) -> None:
    file_id = _change_in_mid_file(world, lambda path, _: path.unlink())
    with world.recovers():
        world.operator.delivered(file_id, seconds=OVER_SECONDS)


def _require_change_seen(world: World, *changes: Change) -> None:
    for change in changes:
        file_id = _change_in_mid_file(world, change)
        with world.recovers():
            _require_failed(world, file_id, "source_changed")


def _with_mtime_put_back(path: Path, change: Callable[[], object]) -> None:
    before = path.stat()
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def _change_in_mid_file(world: World, change: Change) -> str:
    """Make the change while the proxy holds the segments in flight, so that the file is half stored. Return its id."""
    source = world.make_file(LENGTH)
    held = hold_in_mid_file(world, source, to="hashed")
    change(source, held.read_bytes)
    held.release()
    return held.file_id


def _flip_byte(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 0xFF]))


def _flip_mapped_byte(path: Path, at: int) -> None:
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[at] ^= 0xFF
        mapped.flush()


def _require_failed(world: World, file_id: str, code: str) -> Json:
    """Wait until the file is FAILED with this code, require that it has no delivery, and return it."""

    def over() -> Json | None:
        file = world.operator.file(file_id)
        return file if file["state"] in ("FAILED", "STORED") else None

    file = wait_for(over, seconds=OVER_SECONDS, what=f"{file_id} is FAILED or STORED")
    assert file["state"] == "FAILED", file
    assert file["error"]["code"] == code, file
    assert not world.operator.deliveries(file_id)
    return file
