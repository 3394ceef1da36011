"""Sending and taking hints over a real Redis: what it refuses, and what else lies in it, stops nothing but itself."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from kombu.connection import Connection
from kombu.messaging import Consumer
from redis import Redis

from gridhaul.embedded.network import HOST, free_ports
from gridhaul.transfer.broker_health import FOREIGN_KEY
from gridhaul.transfer.model import Hint, Queue, RecordId, TaskName
from tasks import transport
from tasks.queue import HintSender, task_queues
from tasks.transport import Transport
from tests.folders import NewFolder
from tests.journeys.operator import wait_for
from tests.servers.redis import redis_server
from tests.strange_messages import FOREIGN, ID, MALFORMED, message

TAKEN_SECONDS = 20.0


class Receiver:
    """A worker's connection that takes messages, and notes from which queue each came."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.taken: list[str] = []

    def note(self, message: object) -> None:
        self.taken.append(message.delivery_info["routing_key"])  # type: ignore[attr-defined]

    def takes(self, *queues: str) -> None:
        """Require that exactly the messages of these queues are taken, in any order."""
        wait_for(lambda: self._taken() >= len(queues), seconds=TAKEN_SECONDS, what="the messages are taken")
        assert sorted(self.taken) == sorted(queues)

    def _taken(self) -> int:
        with suppress(TimeoutError):
            self._connection.drain_events(timeout=0.1)  # type: ignore[no-untyped-call]
        return len(self.taken)


@pytest.fixture(scope="module")
def url(new_folder: NewFolder) -> Iterator[str]:
    with new_folder("redis") as folder, redis_server(folder) as url:
        yield url


@pytest.fixture
def redis(url: str) -> Iterator[Redis]:
    with Redis.from_url(url) as redis:
        redis.flushall()
        yield redis


@contextmanager
def receiving(url: str) -> Iterator[Receiver]:
    with Connection(url, transport=Transport) as connection:  # type: ignore[no-untyped-call]
        receiver = Receiver(connection)
        consumer = Consumer(connection.channel(), queues=task_queues(), on_message=receiver.note)  # type: ignore[no-untyped-call]
        consumer.consume()  # type: ignore[no-untyped-call]
        yield receiver


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "PAUSE_SECONDS", 0.2)


def test_hints_behind_strange_messages_are_taken_and_foreign_messages_are_kept(url: str, redis: Redis) -> None:
    redis.lpush("small", *MALFORMED.values(), message(), *FOREIGN.values(), message())
    with receiving(url) as receiver:
        receiver.takes("small", "small")
    assert redis.llen("small") == 2, "the hints are given back when the worker stops"
    assert sorted(redis.lrange(FOREIGN_KEY, 0, -1)) == sorted(FOREIGN.values())


def test_queue_with_a_key_of_another_type_rests_while_others_go_on(
    url: str, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis.set("small", "not a list")
    with receiving(url) as receiver:
        for _ in range(20):
            redis.lpush("maintenance", message())
        receiver.takes(*["maintenance"] * 20)
    assert len([record for record in caplog.records if "queues_paused" in record.message]) == 1
    assert redis.get("small") == b"not a list"


def test_queue_is_read_again_when_its_key_is_free(url: str, redis: Redis, no_pause: None) -> None:
    redis.set("small", "not a list")
    with receiving(url) as receiver:
        redis.lpush("large", message())
        receiver.takes("large")
        redis.delete("small")
        redis.lpush("small", message())
        receiver.takes("large", "small")


def test_redis_that_refuses_to_give_messages_is_asked_again(url: str, redis: Redis, no_pause: None) -> None:
    redis.lpush("small", message())
    redis.replicaof(HOST, free_ports(1)[0])
    try:
        with receiving(url) as receiver:
            receiver.takes()
            redis.replicaof("NO", "ONE")
            receiver.takes("small")
    finally:
        redis.replicaof("NO", "ONE")


def test_hint_that_cannot_be_given_back_is_dropped(url: str, redis: Redis) -> None:
    redis.lpush("small", message())
    with receiving(url) as receiver:
        receiver.takes("small")
        redis.set("small", "not a list")
    assert redis.get("small") == b"not a list"


def test_hint_that_redis_refuses_drops_no_hint_for_another_queue(url: str, redis: Redis) -> None:
    redis.set("small", "not a list")
    with closing(HintSender(url)) as sender:
        for queue in (Queue.SMALL, Queue.LARGE, Queue.MAINTENANCE):
            sender.offer(Hint(task=TaskName.UPLOAD_FILE, record_id=RecordId(ID), queue=queue))
    assert (redis.llen("large"), redis.llen("maintenance")) == (1, 1)
    assert redis.get("small") == b"not a list"


def test_hint_needs_no_key_but_its_queue(url: str, redis: Redis) -> None:
    with closing(HintSender(url)) as sender:
        sender.offer(Hint(task=TaskName.UPLOAD_FILE, record_id=RecordId(ID), queue=Queue.SMALL))
    with receiving(url) as receiver:
        receiver.takes("small")
        assert redis.keys() == []
