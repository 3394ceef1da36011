"""The fault of registering: the worker that finds and registers the files of a batch is killed again and again."""

import os
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from bson import ObjectId

from gridhaul.transfer.skipping import shown
from tests.faults.batches import SentBatch, Tree, answered, require_quota
from tests.faults.catalogue import fault
from tests.faults.world import World, wait_for

PATHS = 20_000
FOLDERS = 40
KILLS = 4
VANISHES = ".vanishes"
CHANGING = 200  # files that appear and vanish meanwhile
PAGE = 1000
SECONDS_A_PATH = 0.03  # at most, until a file is stored
EXIT_SECONDS = 10
TEXT = b"x" * 7
SKIPPED = {
    "a link": "link",
    "a line\nbreak": "control_characters",
    "a socket": "not_a_regular_file",
    "b\udcff": "not_utf8",
}
GONE = ("source_missing", "source_changed")


@fault(39, stage="batch", title="worker killed while registering 20,000 paths; files appear and vanish meanwhile")
def killed_while_registering(world: World) -> None:
    register_under_kills(world, paths=PATHS)


@fault("batch-100000", stage="batch", title="row 39 with 100,000 paths", only_when_named=True)
def killed_while_registering_many(world: World) -> None:
    register_under_kills(world, paths=5 * PATHS)


def register_under_kills(world: World, *, paths: int) -> None:
    """Register the paths while the worker is killed, and require that each path is registered or skipped once."""
    tree, files, skipped = _make_tree(world, paths)
    seconds = SECONDS_A_PATH * paths
    vanishing = [path for path in files if path.suffix == VANISHES]
    with _changing(tree, vanishing) as appeared:
        batch = SentBatch.start(world, Tree(path=tree, files={}))
        with world.recovers():
            hits = [_kill_registering(world, batch, at=at, seconds=seconds) for at in _moments(world, paths)]
            _registered(batch, seconds=seconds)
    assert any(hits), "no kill hit the registering"
    world.notes.append(f"{sum(hits)} of {KILLS} kills hit the registering of {paths} paths")
    batch.done(seconds=seconds)
    _require_registered_once(batch, {*files} - {*vanishing}, {*vanishing, *appeared}, skipped)
    require_quota(world)


def _moments(world: World, paths: int) -> list[float]:
    """Return how many files are registered at each kill."""
    return [world.rng.uniform(kill, kill + 1) * paths / (KILLS + 1) for kill in range(KILLS)]


def _make_tree(world: World, paths: int) -> tuple[Path, list[Path], dict[str, str]]:
    """Make a folder; return it with its files, and with what is to be skipped, by reason."""
    top = world.make_file(0).with_suffix(".tree")
    for folder in range(FOLDERS):
        (top / f"folder {folder}").mkdir(parents=True)
    files = [top / f"folder {n % FOLDERS}" / f"{n}" for n in range(paths - CHANGING)]
    files += [top / f"folder {n % FOLDERS}" / f"{n}{VANISHES}" for n in range(CHANGING)]
    for path in files:
        path.write_bytes(TEXT)
    world.accept(files[0])
    (top / "a link").symlink_to(files[0])
    (top / "a line\nbreak").write_bytes(TEXT)
    (top / "b\udcff").write_bytes(TEXT)
    with socket.socket(socket.AF_UNIX) as made, _inside(top):
        made.bind("a socket")
    return top, files, {shown(str(top / name)): reason for name, reason in SKIPPED.items()}


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Be in the folder, because the path of a socket may have only 107 bytes."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _changing(top: Path, vanishing: list[Path]) -> Iterator[set[Path]]:
    """Let files appear and vanish during the block, and yield those that appeared so far."""
    appeared: set[Path] = set()
    stop = threading.Event()

    def change() -> None:
        for number, path in enumerate(vanishing):
            if stop.wait(0.05):
                return
            path.unlink()
            new = top / f"folder {number % FOLDERS}" / f"{number}.appears"
            appeared.add(new)
            new.write_bytes(TEXT)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield appeared
    finally:
        stop.set()
        thread.join()


def _kill_registering(world: World, batch: SentBatch, *, at: float, seconds: float) -> bool:
    """Kill the child that registers, once so many files are registered. Return whether a child was registering."""

    def look() -> psutil.Process | bool | None:
        record = world.record("batches", batch.batch_id)
        if record["state"] != "REGISTERING":
            return True
        with suppress(psutil.NoSuchProcess):  # the lease may be that of the child that was killed before
            return _holder(record) if "lease_until" in record and _count(batch) >= at else None
        return None

    found = wait_for(look, seconds=seconds, what=f"{at} files are registered")
    if not isinstance(found, psutil.Process):
        return False
    found.kill()
    found.wait(EXIT_SECONDS)
    return True


def _holder(record: dict[str, Any]) -> psutil.Process:
    return psutil.Process(int(record["lease_holder"].rpartition(":")[2]))


def _count(batch: SentBatch) -> int:
    """Return how many files are registered."""
    with batch.world.operator.database() as database:
        return int(database["files"].count_documents({"batch_id": ObjectId(batch.batch_id)}))


def _registered(batch: SentBatch, *, seconds: float) -> None:
    def look() -> bool:
        return bool(batch.world.record("batches", batch.batch_id)["state"] != "REGISTERING")

    wait_for(look, seconds=seconds, what="everything is registered")


def _require_registered_once(batch: SentBatch, lasting: set[Path], perhaps: set[Path], skipped: dict[str, str]) -> None:
    """Require that every file is registered once, and that everything else is listed as skipped once."""
    members = {Path(file["path"]): file for file in batch.members("files")}
    assert len(members) == len(batch.members("files")), "a path is registered twice"
    assert lasting <= members.keys() <= lasting | perhaps
    failed = {path: file["error"]["code"] for path, file in members.items() if file["state"] != "STORED"}
    assert failed.keys() <= perhaps, "files that did not change failed"
    assert set(failed.values()) <= set(GONE), Counter(failed.values())
    listed = _skipped(batch)
    assert max(Counter(path for path, _ in listed).values()) == 1
    missing = {(str(path), "source_missing") for path in perhaps}
    assert {*skipped.items()} <= {*listed} <= {*skipped.items()} | missing, listed


def _skipped(batch: SentBatch) -> list[tuple[str, str]]:
    """Return the paths that the api lists as skipped, each with its reason."""
    found: list[tuple[str, str]] = []
    cursor: str | None = None
    while True:
        params: dict[str, str | int] = {"limit": PAGE} | ({"cursor": cursor} if cursor else {})
        page = answered(lambda: batch.world.operator.http.get(f"/batches/{batch.batch_id}/skipped", params=params))  # noqa: B023
        assert page is not None, "the api is away"
        found += [(one["path"], one["reason"]) for one in page["skipped"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found
