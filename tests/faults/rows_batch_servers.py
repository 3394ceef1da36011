"""Faults of the servers beneath a batch: the broker, the database, and the api with its dispatcher."""

from redis import Redis

from gridhaul.transfer.model import Hint, Queue, RecordId, TaskName
from tasks.queue import HintSender
from tests.faults.batches import SentBatch, make_tree, small_lengths
from tests.faults.catalogue import fault
from tests.faults.world import WORKERS, World, wait_for

FILES = 300
MIDDLE_BYTES = 20 << 20  # such files are stored and delivered by themselves
MIDDLE_FILES = 4
KILLS = 3
REPEATED = 5
START_SECONDS = 30
TARGETS = ("directory", "hashed")


@fault(3, stage="prepare", title="batch: kill -9 of the api with the dispatcher, right after the answer and later")
def api_killed(world: World) -> None:
    batch = _start(world)
    with world.recovers():
        for kill in range(KILLS):
            world.kill("api")
            batch.past("files", "STORED", world.rng.uniform(kill, kill + 1) / KILLS)
        batch.whole()


@fault(5, stage="dispatch", title="batch: Redis flushed at the beginning and in the middle")
def broker_flushed(world: World) -> None:
    with world.paused(*(world.process(worker) for worker in WORKERS)):
        batch = _start(world)
        _flush(world)
    batch.past("files", "STORED", world.rng.random())
    with world.recovers():
        with world.paused(*(world.process(worker) for worker in WORKERS)):
            _flush(world)
        batch.whole()


@fault(6, stage="dispatch", title="batch: the same message of a lane many times at once, and after it was answered")
def lane_message_repeated(world: World) -> None:
    batch = _start(world)
    batch.past("files", "STORED", world.rng.uniform(0, 0.5))
    with world.paused(*(world.process(worker) for worker in WORKERS)):
        hints = _hints(batch)
        _repeat(world, hints)
    batch.past("deliveries", "DELIVERED", world.rng.random())
    _repeat(world, hints)
    _repeat(world, _hints(batch))
    batch.whole()
    attempts = {member["attempts"] for kind in ("files", "deliveries") for member in batch.members(kind)}
    assert attempts == {1}, f"members were worked on again: {attempts}"
    wait_for(lambda: world.queued() == 0, seconds=START_SECONDS, what="all messages are taken")
    assert world.proxies["hashed"].count("PUT") == world.proxies["hashed"].count("MOVE") == FILES + MIDDLE_FILES


@fault(20, stage="database", title="batch: kill -9 of mongod while files are registered, stored and delivered")
def database_killed(world: World) -> None:
    batch = _start(world)
    with world.recovers():
        _kill_database(world)
        for kind, state in (("files", "STORED"), ("deliveries", "DELIVERED")):
            batch.past(kind, state, world.rng.uniform(0, 0.8))
            _kill_database(world)
        batch.whole()


def _start(world: World) -> SentBatch:
    lengths = [*small_lengths(world, FILES), *[MIDDLE_BYTES] * MIDDLE_FILES]
    return SentBatch.start(world, make_tree(world, lengths), to=TARGETS)


def _flush(world: World) -> None:
    with Redis.from_url(world.system.redis_url) as redis:
        redis.flushall()


def _kill_database(world: World) -> None:
    mongod = world.process("mongod")
    mongod.kill()
    mongod.wait(START_SECONDS)
    world.system.start_program("mongod")
    world.system.wait_ready(timeout_seconds=START_SECONDS)


def _hints(batch: SentBatch) -> list[Hint]:
    """Return the messages that the lanes wait for now."""
    return [
        Hint(task=TaskName.TAKE_DUE, record_id=RecordId(str(lane["token"])), queue=Queue(lane["queue"]))
        for lane in batch.members("lanes")
    ]


def _repeat(world: World, hints: list[Hint]) -> None:
    sender = HintSender(world.system.redis_url)
    for hint in hints * REPEATED:
        sender.offer(hint)
    sender.close()
