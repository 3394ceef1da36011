"""Workers whose clocks are wrong."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from gridhaul.transfer.model import Hint, Queue, RecordId, TaskName
from tasks.queue import HintSender
from tests.faults.catalogue import NotAllowed, fault
from tests.faults.stand import SHORT_LEASES
from tests.faults.world import MIB, WORKERS, World, wait_for
from tests.journeys.processes import settings_of, started
from tests.servers.disturbances import Hold, Side

LIBRARIES = Path("/usr/lib")
OFF = timedelta(minutes=10)
LENGTH = 24 * MIB
SMALL_FILES = 6
CHILDREN = 2  # of each of the two workers: three children hold a file, one is free
LEASE_SECONDS = float(SHORT_LEASES["GRIDHAUL_LEASE_SECONDS"])
HELD_SECONDS = LEASE_SECONDS + 2
START_SECONDS = 60
STRIKE_SECONDS = 30
RECOVERY_SECONDS = 45


@dataclass(frozen=True, kw_only=True)
class ShiftedWorker:
    name: str
    shift: timedelta
    pid: int
    heartbeat: Path
    log: Path

    def require_shifted(self) -> None:
        """Require that the times in the worker's log are shifted."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        times = [datetime.fromisoformat(json.loads(line)["timestamp"]) for line in lines]
        assert times, f"{self.name} logged nothing"
        off = [time - datetime.now(UTC) - self.shift for time in times]
        assert all(abs(each) < timedelta(minutes=2) for each in off), f"the clock of {self.name} is right: {times}"


@fault(29, stage="clock", title="two workers, one 10 minutes ahead, one 10 minutes behind; one child killed")
def clocks_off(world: World) -> None:
    with _two_workers_with_wrong_clocks(world) as workers:
        held, hold = _held_files(world)
        until = time.monotonic() + HELD_SECONDS
        holders = {file_id: world.holder(file_id) for file_id in held}
        assert {world.worker_of(child).pid for child in holders.values()} == {worker.pid for worker in workers}
        for file_id in held:
            _tempt(world, file_id)
        killed = world.rng.choice(held)
        _require_recovered(world, killed, holders[killed])
        time.sleep(max(0.0, until - time.monotonic()))  # the length of the fault, not a wait for a condition
        hold.release()
        small = [world.send(world.make_file(world.rng.randrange(MIB)), to="directory") for _ in range(SMALL_FILES)]
        for file_id in (*held, *small):
            world.operator.delivered(file_id, seconds=RECOVERY_SECONDS)
            attempts = 2 if file_id == killed else 1
            assert world.operator.file(file_id)["attempts"] == attempts, "a lease was lost, or taken over too early"
        for worker in workers:
            worker.require_shifted()


def _held_files(world: World) -> tuple[list[str], Hold]:
    """Send files, and hold the first segment of each for longer than the lease. Return their ids and the hold."""
    sources = [world.make_file(LENGTH) for _ in range(CHILDREN + 1)]
    proxy, after_bytes = world.proxies["chunk_service"], world.rng.randrange(1, 16 * MIB)
    hold = Hold(side=Side.REQUEST, after_bytes=after_bytes)
    planned = proxy.plan(hold, method="PUT", part_of_target="/chunks/0", times=len(sources))
    files = [world.send(source, to=world.rng.choice(["hashed", "webdav", "http"])) for source in sources]
    wait_for(lambda: planned.hits == len(sources), seconds=STRIKE_SECONDS, what="all segments are on their way")
    return files, hold


def _tempt(world: World, file_id: str) -> None:
    """Send a message that tells the free child to look at a file that is leased."""
    sender = HintSender(world.system.redis_url)
    sender.offer(Hint(task=TaskName.UPLOAD_FILE, record_id=RecordId(file_id), queue=Queue.SMALL))
    sender.close()


def _require_recovered(world: World, file_id: str, child: psutil.Process) -> None:
    """Kill the file's child; require that another takes over when the lease has ended, and not before."""
    fence = world.record("files", file_id)["fence"]
    with world.recovers():
        child.kill()
        child.wait(STRIKE_SECONDS)
        leased_until = world.record("files", file_id)["lease_until"]
        world.taken_over("files", file_id, fence=fence, seconds=RECOVERY_SECONDS)
    early = (leased_until - datetime.now(UTC)).total_seconds()
    assert early <= 0, f"the file was taken over {early:.1f} s before its lease ended"


@contextmanager
def _two_workers_with_wrong_clocks(world: World) -> Iterator[list[ShiftedWorker]]:
    """Yield two workers with wrong clocks, in place of the system's own workers."""
    library = _library()
    with ExitStack() as stack:
        shifts = {"ahead": OFF, "behind": -OFF}
        workers = [stack.enter_context(_worker(world, name, shift, library)) for name, shift in shifts.items()]
        for worker in WORKERS:
            stack.enter_context(world.stopped(worker))
        for each in workers:
            wait_for(each.heartbeat.exists, seconds=START_SECONDS, what=f"the worker {each.name} is ready")
        yield workers
        for each in workers:  # both stop at once, while the system's own workers start again
            os.kill(each.pid, signal.SIGTERM)


@contextmanager
def _worker(world: World, name: str, shift: timedelta, library: Path) -> Iterator[ShiftedWorker]:
    """Yield a worker whose clock is shifted, and which may still be starting."""
    heartbeat = world.stand.root / f"{name}-heartbeat"
    heartbeat.unlink(missing_ok=True)
    settings = settings_of(world.system) | SHORT_LEASES
    settings["GRIDHAUL_CHUNK_SERVICE_URL"] = world.proxies["chunk_service"].url
    settings["GRIDHAUL_HEARTBEAT_FILE"] = str(heartbeat)
    settings |= {"LD_PRELOAD": str(library), "FAKETIME": f"{shift.total_seconds():+.0f}"}
    settings["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
    queues = ",".join(queue.value for queue in Queue)
    command = ("celery", "-A", "tasks.celery", "worker", "-Q", queues, "-n", f"{name}@%h")
    log = world.stand.logs / f"{name}.log"
    with started((*command, "--concurrency", str(CHILDREN)), settings, log) as process:
        yield ShiftedWorker(name=name, shift=shift, pid=process.pid, heartbeat=heartbeat, log=log)


def _library() -> Path:
    found = next(LIBRARIES.glob("*/faketime/libfaketimeMT.so.1"), None)
    if found is None:
        raise NotAllowed("libfaketime is not installed (Debian: libfaketime)")
    return found
