"""Faults of deliveries on Gridhaul's side: early and repeated finalizes, and kills while workers stream and commit."""

import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.faults.catalogue import fault
from tests.faults.protocols import COMMITS, COMMITTED, PART_BYTES, sending
from tests.faults.rows_kill import slow_writes
from tests.faults.stored import SentDelivery, StoredFile
from tests.faults.traced import injecting
from tests.faults.world import MIB, WORKERS, World, wait_for
from tests.journeys.operator import sha256_of
from tests.servers.disturbances import Side, Stall
from tests.servers.proxy import Planned, Seen

SMALL_BYTES = 24 * MIB  # goes to the queue `small`, with two children
LARGE_BYTES = 72 * MIB  # goes to the queue `large`, with two other children
AT_ONCE = 20
STRIKE_SECONDS = 30
RECOVERY_SECONDS = 45
FOREVER = float("inf")
RENAMES = "rename,renameat,renameat2,link,linkat"
WEBDAV = ("hashed", "webdav")
WITHOUT_MOVE = ("s3", "sftp")
SHORTEST_PART_BYTES = 8 * MIB  # of S3: the last part of either file
HELD = "held"


@dataclass(frozen=True, kw_only=True)
class Held:
    """A delivery that the proxy before its target holds at a moment."""

    delivery: SentDelivery
    planned: Planned

    def wait(self) -> None:
        self.planned.wait(STRIKE_SECONDS)

    def requests(self, method: str) -> Sequence[Seen]:
        """Return the requests of the delivery with this method that the proxy has seen."""
        folder = self.delivery.object_name.partition("/")[0]
        requests = list(self.delivery.world.between(self.delivery.target).requests)
        return [seen for seen in requests if seen.method == method and f"/{folder}/" in seen.target]

    def commits(self) -> int:
        """Return how many requests have given the object its final name."""
        method, part = COMMITS[self.delivery.target]
        return sum(seen.status in COMMITTED and part in seen.target for seen in self.requests(method))


@fault(24, stage="finalize", title="finalize early; 20 at once; again while the delivery is sent, and afterwards")
def asked_early_and_often(world: World) -> None:
    source = world.make_file(SMALL_BYTES)
    sha256 = sha256_of(source)
    with world.paused(*(world.process(worker) for worker in WORKERS)):
        file_id = world.operator.prepare(source)
        early = world.operator.finalize(file_id, sha256, "hashed")
    assert (early.status_code, early.json()["code"]) == (409, "not_stored"), early.text
    assert int(early.headers["Retry-After"]) > 0
    world.operator.stored(file_id)
    assert world.operator.deliveries(file_id) == [], "the early finalize made a delivery"
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [pool.submit(world.operator.finalize, file_id, sha256, "hashed") for _ in range(AT_ONCE)]
    answers = [each.result() for each in asked]
    world.sending(file_id, at=world.rng.uniform(0.01, 0.9))
    answers.append(world.operator.finalize(file_id, sha256, "hashed"))
    world.operator.delivered(file_id)
    answers.append(world.operator.finalize(file_id, sha256, "hashed"))
    assert sorted(answer.status_code for answer in answers) == [200] * (AT_ONCE + 1) + [202]
    (delivery_id,) = {answer.json()["delivery_id"] for answer in answers}
    (delivery,) = world.operator.deliveries(file_id)
    assert (delivery["delivery_id"], delivery["attempts"]) == (delivery_id, 1)
    assert world.proxies["hashed"].count("PUT") == world.proxies["hashed"].count("MOVE") == 1


@fault(25, stage="finalize", title="kill -9 of children, and of a whole worker with its group, while they stream")
def killed_while_streaming(world: World) -> None:
    small, large = StoredFile.make(world, SMALL_BYTES), StoredFile.make(world, LARGE_BYTES)
    held = [_hold_body(world, small, target) for target in WEBDAV]
    held.append(_hold_body(world, large, world.rng.choice(WEBDAV), folder="large"))
    for each in held:
        each.wait()
    # The large worker is killed first, because the proxy does not hold its delivery to the directory.
    workers = [world.process(name) for name in ("worker_large", "worker_small")]
    kills = world.rng.sample([_kill_children, _kill_group], 2)
    with slow_writes(LARGE_BYTES, workers[0].children()):
        to_directory = large.deliver("directory")
        _wait_for_temporary(to_directory, world.rng.randrange(1, LARGE_BYTES // 3))
        for kill, worker in zip(kills, workers, strict=True):
            kill(worker)
    with world.recovers():
        _let_go(world)
        for delivery in (to_directory, *(each.delivery for each in held)):
            attempts = delivery.delivered(seconds=RECOVERY_SECONDS)["attempts"]
            assert attempts == 2, f"the worker of {delivery.delivery_id} was not killed while it streamed"
    for each in held:
        assert [seen.status for seen in each.requests("MOVE")] == [201]


@fault(25, stage="finalize", title="s3, sftp: kill -9 of children, and of a whole worker with its group")
def killed_while_streaming_elsewhere(world: World) -> None:
    small, large = StoredFile.make(world, SMALL_BYTES), StoredFile.make(world, LARGE_BYTES)
    first, second = world.rng.sample(WITHOUT_MOVE, 2)
    held = [_hold_body(world, small, first), _hold_body(world, large, second, folder="large")]
    for each in held:
        each.wait()
    kills = world.rng.sample([_kill_children, _kill_group], 2)
    with world.recovers():
        for kill, name in zip(kills, WORKERS, strict=True):
            kill(world.process(name))
        _let_go(world)
        for each in held:
            assert each.delivery.delivered(seconds=RECOVERY_SECONDS)["attempts"] == 2
    for each in held:
        assert each.commits() == 1, "the object was committed twice"


@fault(28, stage="finalize", title="http, webdav: kill -9 of children after the target's commit, before it is noted")
def killed_after_commit(world: World) -> None:
    _kill_after_commits(world, world.rng.sample(["hashed", "webdav", "http"], 3))


@fault(28, stage="finalize", title="s3, sftp: kill -9 of children after the target's commit, before it is noted")
def killed_after_commit_elsewhere(world: World) -> None:
    _kill_after_commits(world, world.rng.sample(WITHOUT_MOVE, 2))


def _kill_after_commits(world: World, targets: Sequence[str]) -> None:
    """Kill the workers of one delivery to each target. The last one is of a large file, which another worker sends."""
    small, large = StoredFile.make(world, SMALL_BYTES), StoredFile.make(world, LARGE_BYTES)
    held = [_hold_commit(world, small, target) for target in targets[:-1]]
    held.append(_hold_commit(world, large, targets[-1]))
    for each in held:
        each.wait()
    with world.recovers():
        for each in held:
            each.delivery.holder().kill()
        _let_go(world)
        for each in held:
            assert each.delivery.delivered(seconds=RECOVERY_SECONDS)["attempts"] == 2
    for each in held:
        parts = -(-each.delivery.record()["length"] // PART_BYTES) if each.delivery.target == "s3" else 1
        assert len(each.requests(sending(each.delivery.target))) == parts, "bytes were sent twice"
        assert each.commits() == 1, "the object was committed twice"


@fault(28, stage="finalize", title="kill -9 of a child after its rename in a directory, before it is written down")
def killed_after_rename(world: World) -> None:
    file = StoredFile.make(world, SMALL_BYTES)
    children = [child for worker in WORKERS for child in world.process(worker).children()]
    with injecting(children, calls=RENAMES, effect=f"delay_exit={STRIKE_SECONDS * 1_000_000}"):
        delivery = file.deliver("directory")
        wait_for(delivery.path.exists, seconds=STRIKE_SECONDS, what="the object is renamed")
        assert delivery.record()["state"] == "COMMITTING"
        child = delivery.holder()
        child.kill()  # the child is still in the system call of the rename
    child.wait(STRIKE_SECONDS)
    with world.recovers():
        assert delivery.delivered(seconds=RECOVERY_SECONDS)["attempts"] == 2


def _hold_body(world: World, file: StoredFile, target: str, *, folder: str = "small") -> Held:
    """Start a delivery whose body stops on the way at a random byte."""
    after_bytes = world.rng.randrange(SHORTEST_PART_BYTES if target == "s3" else file.length)
    stall = Stall(side=Side.REQUEST, after_bytes=after_bytes, seconds=FOREVER)
    planned = world.between(target).plan(stall, method=sending(target), part_of_target=f"/{folder}/")
    return Held(delivery=file.deliver(target, folder=folder), planned=planned)


def _hold_commit(world: World, file: StoredFile, target: str) -> Held:
    """Start a delivery that the target commits, but whose worker never gets the answer."""
    stall = Stall(side=Side.ANSWER, after_bytes=0, seconds=FOREVER)
    method, part = COMMITS[target]
    planned = world.between(target).plan(stall, method=method, part_of_target=part or f"/{HELD}/")
    return Held(delivery=file.deliver(target, folder=HELD), planned=planned)


def _let_go(world: World) -> None:
    """Drop all plans, and reset the connections of the killed workers, as the network would do."""
    for target in COMMITS:
        world.between(target).plans.clear()
        world.between(target).reset_all()


def _wait_for_temporary(delivery: SentDelivery, length: int) -> None:
    """Wait, without pauses, until the temporary object of the delivery has `length` bytes."""
    deadline = time.monotonic() + STRIKE_SECONDS
    while not any(_length_of(path) >= length for path in delivery.temporary_names()):
        assert time.monotonic() < deadline, f"no temporary object has {length} bytes"


def _length_of(path: Path) -> int:
    """Return the length of the file in bytes, or 0 if it has just been renamed."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _kill_children(worker: psutil.Process) -> None:
    for child in worker.children():
        child.kill()


def _kill_group(worker: psutil.Process) -> None:
    os.killpg(os.getpgid(worker.pid), signal.SIGKILL)
