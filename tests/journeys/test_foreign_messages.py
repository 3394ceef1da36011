"""Nothing that lies in Redis ends a worker or keeps it from its work; `/readyz` reports what does not belong there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from redis import Redis

from gridhaul.embedded.system import System
from gridhaul.transfer.broker_health import FOREIGN_KEY
from tests.journeys.operator import MIB, Operator, make_file, wait_for
from tests.journeys.test_bundles import named
from tests.journeys.test_obstacles import full_redis, report, wait_for_code, wait_for_part
from tests.strange_messages import FOREIGN, MALFORMED

REPORTED_SECONDS = 20.0  # a heartbeat is at most 5 s old, and the api looks once a second
OF_CELERY = ("unacked", "unacked_index", "unacked_mutex", "_kombu.binding.small", "_kombu.binding.celeryev")
PIDBOX = "_kombu.binding.celery.pidbox"


@pytest.fixture
def redis(system: System) -> Iterator[Redis]:
    with Redis.from_url(system.redis_url) as redis:
        yield redis
        redis.delete(FOREIGN_KEY)


@contextmanager
def of_another_type(redis: Redis, keys: Sequence[str]) -> Iterator[None]:
    """Let the keys hold strings, as another system might have it, and require that nobody changes them."""
    strings = dict.fromkeys(keys, b"not a list")
    redis.delete(*keys)
    redis.mset(strings)
    try:
        yield
        assert dict(zip(keys, redis.mget(keys), strict=True)) == strings
    finally:
        redis.delete(*keys)


def passed_over(system: System) -> int:
    return int(report(system).get("passed_over_messages", 0))


def test_worker_passes_over_strange_messages_counts_them_and_goes_on(
    system: System, operator: Operator, sources: Path, redis: Redis
) -> None:
    pid, before = system.pid("worker_small"), passed_over(system)
    redis.lpush("small", *MALFORMED.values(), *FOREIGN.values())
    operator.stored(operator.prepare(make_file(sources / "behind-strange-messages.bin", MIB)))
    count = before + len(MALFORMED) + len(FOREIGN)
    wait_for(lambda: passed_over(system) == count, seconds=REPORTED_SECONDS, what="/readyz counts the messages")
    assert system.pid("worker_small") == pid, "the worker was started anew"
    kept: list[Any] = redis.lrange(FOREIGN_KEY, 0, -1)
    assert sorted(kept) == sorted(FOREIGN.values())
    wait_for_part(system, "redis", "foreign_messages")
    assert f"`{FOREIGN_KEY}`" in report(system)["redis_detail"]
    redis.delete(FOREIGN_KEY)
    wait_for_part(system, "redis", "ok")


def test_key_of_another_type_stops_only_its_own_queue(
    system: System, operator: Operator, sources: Path, redis: Redis
) -> None:
    pid = system.pid("worker_small")
    with of_another_type(redis, ["small"]):
        wait_for_part(system, "redis", "broker_key_taken")
        file_id = operator.prepare(make_file(sources / "queue-is-taken.bin", MIB))
        waiting = wait_for_code(operator, file_id, "broker_key_taken")
        assert "`small`" in waiting["detail"]
        check = operator.start_check(kind="gc", mode="dry_run")
        operator.check_over(check["check_id"])  # by the same worker, which serves the queue `maintenance` too
    operator.stored(file_id)
    wait_for_part(system, "redis", "ok")
    assert system.pid("worker_small") == pid, "the worker was started anew"


def test_worker_starts_and_works_whatever_celerys_own_keys_hold(
    system: System, operator: Operator, sources: Path, redis: Redis
) -> None:
    with of_another_type(redis, [*OF_CELERY, PIDBOX]):
        system.stop_program("worker_small")
        system.start_program("worker_small")
        system.wait_ready(timeout_seconds=60)
        operator.stored(operator.prepare(make_file(sources / "keys-are-taken.bin", MIB)))


def test_worker_starts_while_the_key_of_its_queue_is_taken(
    system: System, operator: Operator, sources: Path, redis: Redis
) -> None:
    with of_another_type(redis, ["small", "maintenance"]):
        system.stop_program("worker_small")
        system.start_program("worker_small")
        system.wait_ready(timeout_seconds=60)
        pid = system.pid("worker_small")
        wait_for_part(system, "redis", "broker_key_taken")
    operator.stored(operator.prepare(make_file(sources / "keys-were-taken.bin", MIB)))
    assert system.pid("worker_small") == pid, "the worker was started anew"


def test_worker_takes_hints_from_a_redis_that_is_full(
    system: System, operator: Operator, sources: Path, redis: Redis
) -> None:
    system.stop_program("worker_small")
    file_id = operator.prepare(make_file(sources / "from-a-full-redis.bin", MIB))
    wait_for(lambda: file_id in named(redis), seconds=20, what="the hint waits")
    with full_redis(system):
        system.start_program("worker_small")
        system.wait_ready(timeout_seconds=60)
        operator.stored(file_id)


def test_broadcast_of_another_application_does_not_stop_the_worker(
    system: System, operator: Operator, sources: Path
) -> None:
    pid = system.pid("worker_small")
    Celery("shop", broker=system.redis_url, set_as_current=False).control.broadcast("shutdown")
    operator.stored(operator.prepare(make_file(sources / "after-a-broadcast.bin", MIB)))
    assert system.pid("worker_small") == pid, "the worker was started anew"
