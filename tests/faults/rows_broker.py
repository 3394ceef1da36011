"""Faults of what lies in Redis: malformed and foreign messages, keys of another type, a Redis that is full."""

from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from redis import Redis

from gridhaul.transfer.broker_health import FOREIGN_KEY
from tests.faults.catalogue import fault
from tests.faults.held import SEGMENT_BYTES
from tests.faults.world import MIB, WORKERS, World, wait_for
from tests.strange_messages import FOREIGN, MALFORMED

SMALL_FILES = 8
LARGE_LENGTH = 6 * SEGMENT_BYTES  # goes to the queue `large`
OF_CELERY = ("unacked", "unacked_index", "unacked_mutex", "_kombu.binding.small", "_kombu.binding.celery.pidbox")
RECOVERY_SECONDS = 30
REPORTED_SECONDS = 20


@fault(41, stage="broker", title="malformed and foreign messages among the hints, and a broadcast that stops workers")
def strange_messages(world: World) -> None:
    strange = [*MALFORMED.values(), *FOREIGN.values()]
    world.rng.shuffle(strange)
    before = _passed_over(world)
    with Redis.from_url(world.system.redis_url) as redis, _same_workers(world):
        files = []
        for _ in range(SMALL_FILES):
            files.append(world.send(world.make_file(world.rng.randrange(4 * MIB)), to="directory"))
            redis.lpush("small", *[strange.pop() for _ in range(len(strange) // SMALL_FILES)])
        redis.lpush("small", *strange)
        Celery("shop", broker=world.system.redis_url, set_as_current=False).control.broadcast("shutdown")
        _require_delivered(world, files)
        count = before + len(MALFORMED) + len(FOREIGN)
        wait_for(lambda: _passed_over(world) == count, seconds=REPORTED_SECONDS, what="/readyz counts the messages")
        assert sorted(redis.lrange(FOREIGN_KEY, 0, -1)) == sorted(FOREIGN.values()), "a foreign message is gone"
        wait_for(lambda: _state(world) == "foreign_messages", seconds=REPORTED_SECONDS, what="/readyz names them")
        redis.delete(FOREIGN_KEY)


@fault(41, stage="broker", title="keys of another type where a queue and Celery's own keys belong")
def keys_of_another_type(world: World) -> None:
    with Redis.from_url(world.system.redis_url) as redis, _same_workers(world):
        redis.delete("large", *OF_CELERY)
        redis.mset(dict.fromkeys(("large", *OF_CELERY), "not a list"))
        large = world.send(world.make_file(LARGE_LENGTH), to="directory")
        _require_delivered(world, [world.send(world.make_file(MIB), to="directory") for _ in range(SMALL_FILES)])
        wait_for(lambda: _state(world) == "broker_key_taken", seconds=REPORTED_SECONDS, what="/readyz names the key")
        assert world.operator.file(large)["waiting"]["code"] == "broker_key_taken"
        assert redis.mget("large", *OF_CELERY) == [b"not a list"] * (1 + len(OF_CELERY)), "a foreign key was changed"
        redis.delete("large", *OF_CELERY)
        _require_delivered(world, [large])


@fault(41, stage="broker", title="Redis is full while hints wait in it")
def full(world: World) -> None:
    with Redis.from_url(world.system.redis_url) as redis, _same_workers(world):
        with world.paused(*(world.process(worker) for worker in WORKERS)):
            files = [world.send(world.make_file(4 * MIB), to="directory") for _ in range(SMALL_FILES)]
            wait_for(lambda: world.queued() > 0, seconds=RECOVERY_SECONDS, what="hints wait")
            redis.config_set("maxmemory", 1)
        try:
            wait_for(lambda: world.queued() == 0, seconds=RECOVERY_SECONDS, what="the workers take the hints")
        finally:
            redis.config_set("maxmemory", 0)
        _require_delivered(world, files)


@contextmanager
def _same_workers(world: World) -> Iterator[None]:
    """Require that no worker ends while the fault is done."""
    before = [world.process(worker).pid for worker in WORKERS]
    yield
    assert [world.process(worker).pid for worker in WORKERS] == before, "a worker ended and was started anew"


def _require_delivered(world: World, files: list[str]) -> None:
    with world.recovers():
        for file_id in files:
            world.operator.delivered(file_id, seconds=RECOVERY_SECONDS)


def _readyz(world: World) -> dict[str, object]:
    return dict(world.operator.http.get("/readyz").json())


def _state(world: World) -> object:
    return _readyz(world)["redis"]


def _passed_over(world: World) -> int:
    return int(str(_readyz(world).get("passed_over_messages", 0)))
