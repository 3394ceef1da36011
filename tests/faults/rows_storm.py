"""Many kills of any process while many files are on their way; and rows 8 and 10 at the default lease."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import psutil

from gridhaul.embedded.errors import NotRunning
from tests.faults.catalogue import fault
from tests.faults.rows_pause import DEFAULT_LEASE_SECONDS, wake_after_twice_the_lease
from tests.faults.rows_store import group_killed
from tests.faults.world import MIB, WORKERS, World, wait_for

KILLS = 50
FILES = 40
MOST_BYTES = 200 * MIB
PAUSE_SECONDS = (2.0, 6.0)
ANSWERED_SECONDS = 60
DELIVERED_SECONDS = 300
MAINTENANCE_SECONDS = 60
FSCK_SECONDS = 180
SWEEP_SECONDS = 6
VICTIMS = ("api", "chunk_service", "mongod", "redis", *WORKERS, "child", "child", "group")
DEFAULTS = {"GRIDHAUL_LEASE_SECONDS": "30", "GRIDHAUL_RENEW_SECONDS": "10", "GRIDHAUL_DISPATCH_SECONDS": "5"}


@fault(
    "storm",
    stage="all",
    title="50 kill -9 of any process over 40 files",
    only_when_named=True,
    settings={"GRIDHAUL_SWEEP_SECONDS": str(SWEEP_SECONDS)},
)
def storm(world: World) -> None:
    lengths = [0, 1, MIB, 15 * MIB, 16 * MIB, MOST_BYTES]
    lengths += [int(MOST_BYTES * world.rng.random() ** 2) for _ in range(FILES - len(lengths))]
    sources = [(world.make_file(length), world.rng.choice(("hashed", "webdav", "directory"))) for length in lengths]
    world.rng.shuffle(sources)
    pauses = [world.rng.uniform(*PAUSE_SECONDS) for _ in range(KILLS)]
    killed: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        preparing = pool.submit(_prepare_over, world, sources, sum(pauses))
        for pause in pauses:
            threading.Event().wait(pause)
            killed.append(_kill_one(world))
        preparing.result()
    with world.recovers():
        wait_for(lambda: _delivered(world) == FILES, seconds=DELIVERED_SECONDS, what=f"{FILES} files are delivered")
    _require_nothing_found(world)
    world.notes.append(f"killed: {', '.join(f'{killed.count(name)} {name}' for name in sorted(set(killed)))}")


@fault(
    "default-lease",
    stage="store",
    title="row 8 at the default lease",
    only_when_named=True,
    settings=DEFAULTS,
)
def killed_at_the_default_lease(world: World) -> None:
    group_killed(world)


@fault(
    "default-lease",
    stage="store, deliver",
    title="row 10 at the default lease",
    only_when_named=True,
    settings=DEFAULTS,
)
def stopped_at_the_default_lease(world: World) -> None:
    wake_after_twice_the_lease(world, DEFAULT_LEASE_SECONDS)


def _prepare_over(world: World, sources: list[tuple[Path, str]], seconds: float) -> None:
    """Prepare the files over `seconds`, so that there is always work. Repeat each prepare until it is answered."""
    for source, target in sources:
        wait_for(
            lambda path=source, to=target: _prepared(world, path, to),  # type: ignore[misc]
            seconds=ANSWERED_SECONDS,
            what=f"prepare of {source.name} is answered",
        )
        threading.Event().wait(0.9 * seconds / len(sources))


def _prepared(world: World, source: Path, target: str) -> bool:
    body = {"file_path": str(source), "deliver_to": {"target": target}}
    with suppress(httpx2.TransportError):
        answer = world.operator.http.post("/upload/prepare", json=body, headers={"Idempotency-Key": source.name})
        assert answer.status_code in (202, 503), answer.text
        return answer.status_code == 202
    return False


def _kill_one(world: World) -> str:
    """Kill a running process, or a worker's group, with SIGKILL; return its name."""
    while True:
        victim = world.rng.choice(VICTIMS)
        with suppress(NotRunning, psutil.NoSuchProcess, ProcessLookupError):
            _kill(world, victim)
            return victim


def _kill(world: World, victim: str) -> None:
    if victim not in ("child", "group"):
        return world.kill(victim)
    worker = world.process(world.rng.choice(WORKERS))
    if victim == "group":
        return os.killpg(os.getpgid(worker.pid), signal.SIGKILL)
    children = worker.children()
    if not children:
        raise NotRunning("the worker has no children yet")
    world.rng.choice(children).kill()
    return None


def _require_nothing_found(world: World) -> None:
    """Require that fsck finds nothing, once maintenance and gc have run."""
    wait_for(lambda: not _left_to_do(world), seconds=MAINTENANCE_SECONDS, what="maintenance has run")
    wait_for(lambda: _accounts_are_quiet(world), seconds=MAINTENANCE_SECONDS, what="no charge can be under way")
    world.operator.gc()  # after a kill between a charge and its file's record, the account counts too much until the gc
    check = world.operator.fsck(seconds=FSCK_SECONDS)
    assert check["found"] == 0, check["findings"]
    world.notes.append(
        f"fsck: {check['checked_contents']} contents, {check['checked_bytes'] // MIB} MiB, nothing found"
    )


def _accounts_are_quiet(world: World) -> bool:
    long_ago = datetime.now(UTC) - timedelta(seconds=SWEEP_SECONDS)
    with world.operator.database() as database:
        return database["auth"].find_one({"charged_at": {"$gt": long_ago}}, {"_id": 1}) is None


def _left_to_do(world: World) -> bool:
    with world.operator.database() as database:
        waits = {"next_attempt_at": {"$exists": True}}
        return any(database[name].find_one(waits, {"_id": 1}) for name in ("files", "deliveries", "contents"))


def _delivered(world: World) -> int:
    """Return how many deliveries are DELIVERED. Fail at once when a file or a delivery is FAILED."""
    with world.operator.database() as database:
        for name in ("files", "deliveries"):
            failed: Any = database[name].find_one({"state": "FAILED"})
            assert failed is None, failed
        return int(database["deliveries"].count_documents({"state": "DELIVERED"}))
