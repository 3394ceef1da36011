"""Row 38: the abilities of a target change between the first byte of a delivery and its commit.

rclone's S3 has no row here: it never refuses a name that is taken, so it cannot become laxer.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tasks.delivering.known_targets import FACTS_SECONDS
from tests.faults.catalogue import fault
from tests.faults.protocols import COMMITS, COMMITTED, sending
from tests.faults.rows_kill import RECOVERY_SECONDS, SHORT, STRIKE_SECONDS, slow_writes
from tests.faults.stored import SentDelivery, StoredFile
from tests.faults.watcher import digest_of
from tests.faults.world import MIB, WORKERS, World, wait_for
from tests.servers.disturbances import Answer, Asked, Hold, Instead, Side
from tests.servers.proxy import BESIDE, NOTHING_BESIDE
from tests.servers.rclone_s3 import S3Server

SMALL = 24 * MIB  # goes to the queue `small`, whose worker has two children
HELD_BYTES = 8 * MIB  # of the first body that is held
FROM_THEN_ON = 1_000_000
# Rows that hold a body for longer than workers rely on what was seen of a target.
PATIENT = {"GRIDHAUL_ANSWER_SECONDS": "180"}
NOT_EXCLUSIVE = ("object_exists", "target_not_exclusive")  # the second, if the surprise has led to a new probe


@fault(38, stage="finalize", title="directory: its disk goes away while a worker writes, and another one is beneath")
def disk_goes_away(world: World) -> None:
    disk = world.remotes["directory"]
    away = disk.with_name("away")
    children = [child for worker in WORKERS for child in world.process(worker).children()]
    with slow_writes(SHORT, children):
        delivery = StoredFile.make(world, SHORT).deliver("directory")
        wait_for(lambda: delivery.staged_bytes() > 0, seconds=STRIKE_SECONDS, what="the worker writes")
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


@fault(38, stage="finalize", title="s3 (SeaweedFS): Complete begins to replace what has the name", settings=PATIENT)
def laxer_s3(world: World) -> None:
    world.start_seaweedfs()
    proxy = world.proxies["seaweedfs"]

    @contextmanager
    def lax() -> Iterator[None]:
        unconditional = Instead(answer=_completing(world.stand.seaweed_bucket.server))
        proxy.plan(unconditional, method="POST", part_of_target="uploadId=", times=FROM_THEN_ON)
        proxy.beside = NOTHING_BESIDE
        try:
            yield
        finally:
            proxy.beside = BESIDE
            proxy.plans.clear()

    _require_seen(world, "seaweedfs", lax)


@fault(38, stage="finalize", title="sftp: links and renames begin to replace what has the name", settings=PATIENT)
def laxer_sftp(world: World) -> None:
    @contextmanager
    def lax() -> Iterator[None]:
        world.stand.sftp.lax = True
        try:
            yield
        finally:
            world.stand.sftp.lax = False

    _require_seen(world, "sftp", lax)


def _require_seen(world: World, target: str, lax: Callable[[], AbstractContextManager[None]]) -> None:
    """Hold two deliveries that have sent bytes while the target becomes lax, which must be seen before their commits.

    One delivery goes on after somebody else's object has got its name, the other one after a probe of the target.
    """
    assert world.probe(target)["abilities"]["exclusive"] is True
    file = StoredFile.make(world, SMALL)
    (taken, go_on), (probed, go_on_later) = (_held(world, file, target, folder) for folder in ("taken", "probed"))
    with lax():
        other = world.place(target, taken.object_name, SMALL)
        before = digest_of(other)
        go_on.release()
        view = taken.over(seconds=RECOVERY_SECONDS)
        assert view["state"] == "FAILED", view
        assert view["error"]["code"] in NOT_EXCLUSIVE, view
        world.stand.seaweed_bucket.copy()
        assert digest_of(other) == before, "somebody else's object was replaced"
        assert world.probe(target)["abilities"]["exclusive"] is False
        _wait_until_facts_are_read()
        go_on_later.release()
        probed.failed("target_not_exclusive", seconds=RECOVERY_SECONDS)
        assert _commits(world, target) == [], "an object got its final name"
    assert world.probe(target)["abilities"]["exclusive"] is True


def _held(world: World, file: StoredFile, target: str, folder: str) -> tuple[SentDelivery, Hold]:
    """Start a delivery, and hold a body of it in the middle."""
    hold = Hold(side=Side.REQUEST, after_bytes=world.rng.randrange(MIB, HELD_BYTES))
    planned = world.between(target).plan(hold, method=sending(target), part_of_target=f"/{folder}/")
    delivery = file.deliver(target, folder=folder)
    planned.wait(STRIKE_SECONDS)
    return delivery, hold


def _wait_until_facts_are_read() -> None:
    """Wait for as long as a worker relies on what it has read before the probe that has just ended."""
    time.sleep(FACTS_SECONDS)


def _commits(world: World, target: str) -> list[str]:
    method, part = COMMITS[target]
    requests = list(world.between(target).requests)
    return [
        seen.target
        for seen in requests
        if seen.method == method and part in seen.target and "/probed/" in seen.target and seen.status in COMMITTED
    ]


def _completing(server: S3Server) -> Callable[[Asked], Answer]:
    """Return what completes uploads as a server does that ignores conditions."""

    def complete(asked: Asked) -> Answer:
        answer = server.request("POST", asked.target.lstrip("/"), content=asked.body)
        return Answer(status=answer.status_code, headers={"Content-Type": "application/xml"}, body=answer.content)

    return complete


def _misses_its_target(delivery: SentDelivery) -> bool:
    error = delivery.view()["error"]
    return error is not None and error["code"] == "target_unavailable"
