"""Faults on the way from a record to a worker."""

from redis import Redis

from gridhaul.transfer.bundle import BUNDLED_FILE_BYTES
from gridhaul.transfer.model import Hint, Queue, RecordId, TaskName
from tasks.queue import HintSender
from tests.faults.catalogue import fault
from tests.faults.world import MIB, WORKERS, World, wait_for

WAITING = 10  # of each: files that share messages as bundles, and files with a message each
MESSAGES = 8  # at least so many wait: a worker may have taken one just before it was stopped
REPEATED = 5
RECOVERY_SECONDS = 30


@fault(5, stage="dispatch", title="Redis flushed")
def broker_flushed(world: World) -> None:
    with world.paused(*(world.process(worker) for worker in WORKERS)):
        files = _wait_in_queue(world)
        with Redis.from_url(world.system.redis_url) as redis:
            redis.flushall()
    _require_delivered(world, files)


@fault(5, stage="dispatch", title="Redis restarted empty")
def broker_restarted_empty(world: World) -> None:
    with world.paused(*(world.process(worker) for worker in WORKERS)):
        files = _wait_in_queue(world)
        with world.stopped("redis"):
            for kept in (world.system.data / "redis").glob("appendonly*"):
                kept.unlink()
    _require_delivered(world, files)


@fault(6, stage="dispatch", title="the same message many times at once")
def message_repeated(world: World) -> None:
    source = world.make_file(40 * MIB)
    with world.paused(*(world.process(worker) for worker in WORKERS)):
        file_id = world.operator.prepare(source)
        _repeat(world, Hint(task=TaskName.UPLOAD_FILE, record_id=RecordId(file_id), queue=Queue.SMALL))
    file = world.operator.stored(file_id)
    assert file["attempts"] == 1
    assert world.proxies["chunk_service"].count("PUT") == 3, "segments were sent twice"
    with world.paused(*(world.process(worker) for worker in WORKERS)):
        answer = world.operator.finalize(file_id, file["digests"]["sha-256"], "hashed")
        delivery_id = RecordId(answer.json()["delivery_id"])
        _repeat(world, Hint(task=TaskName.FINALIZE_FILE, record_id=delivery_id, queue=Queue.SMALL))
    assert world.operator.delivered(file_id)["attempts"] == 1
    wait_for(lambda: world.queued() == 0, seconds=RECOVERY_SECONDS, what="all messages are taken")
    assert world.proxies["hashed"].count("PUT") == world.proxies["hashed"].count("MOVE") == 1


def _wait_in_queue(world: World) -> list[str]:
    """Prepare files whose messages wait, because no worker takes any; return the file ids."""
    before = world.queued()
    lengths = [world.rng.randrange(2 * MIB) for _ in range(WAITING)] + [BUNDLED_FILE_BYTES + 1] * WAITING
    files = [world.send(world.make_file(length), to="directory") for length in lengths]
    wait_for(lambda: world.queued() >= before + MESSAGES, seconds=RECOVERY_SECONDS, what="messages wait")
    return files


def _require_delivered(world: World, files: list[str]) -> None:
    with world.recovers():
        for file_id in files:
            assert world.operator.delivered(file_id, seconds=RECOVERY_SECONDS)["attempts"] == 1


def _repeat(world: World, hint: Hint) -> None:
    sender = HintSender(world.system.redis_url)
    for _ in range(REPEATED):
        sender.offer(hint)
    sender.close()
    wait_for(lambda: world.queued() >= REPEATED, seconds=RECOVERY_SECONDS, what="the messages wait")
