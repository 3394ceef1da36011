"""The messages that the dispatcher puts into each queue, with a real Redis and a real MongoDB."""

import base64
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from redis import Redis

from api import dispatcher as module
from api.dispatcher import Dispatcher
from gridhaul.storage.agenda import MongoAgenda, MongoDispatcherLease
from gridhaul.storage.connect import Database
from gridhaul.transfer.model import File, Queue
from gridhaul.transfer.states import FileState
from tasks.queue import Broker, HintSender
from tests.contracts.ports import Ports, claimed, eventually, new_file, registered
from tests.folders import NewFolder
from tests.servers.redis import redis_server


@pytest.fixture(scope="module")
def redis_url(new_folder: NewFolder) -> Iterator[str]:
    with new_folder("redis") as folder, redis_server(folder) as url:
        yield url


@pytest.fixture
def redis(redis_url: str) -> Iterator["Redis"]:
    with Redis.from_url(redis_url) as connection:
        connection.flushall()
        yield connection


@pytest.fixture
async def dispatcher(
    database: Database, redis_url: str, redis: "Redis", monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Dispatcher]:
    """Yield a dispatcher that takes every hint as sent long ago, so it may repeat any hint at once."""
    monkeypatch.setattr(module, "BUSY_QUEUE_SECONDS", 0.0)
    monkeypatch.setattr(module, "EMPTY_QUEUE_SECONDS", 0.0)
    broker, hints = Broker(redis_url), HintSender(redis_url)
    yield Dispatcher(
        lease=MongoDispatcherLease(database, holder="test", lease_seconds=60),
        agenda=MongoAgenda(database),
        broker=broker,
        hints=hints,
        every_seconds=1,
    )
    hints.close()
    await broker.close()


def depth(redis: "Redis", queue: Queue) -> int:
    return int(redis.llen(queue.value))


def named(redis: "Redis", queue: Queue) -> set[str]:
    """Return the ids of files that the messages of the queue name."""
    messages = [json.loads(message) for message in redis.lrange(queue.value, 0, -1)]
    arguments = [json.loads(base64.b64decode(message["body"]))[0] for message in messages]
    return {one for (ids,) in arguments for one in ids}


async def retried(ports: Ports) -> File:
    """Return a small file that is due again after an attempt failed."""
    file = await claimed(ports, await registered(ports))
    await ports.files.release(file.lease, FileState.REGISTERED, delay_seconds=0)
    return file


async def test_retry_is_hinted_though_another_queue_has_a_backlog(
    dispatcher: Dispatcher, ports: Ports, redis: "Redis"
) -> None:
    await registered(ports, new_file(length=1000))
    await dispatcher.dispatch()
    await eventually(lambda: _is(depth(redis, Queue.LARGE) == 1))
    await retried(ports)
    await dispatcher.dispatch()
    await eventually(lambda: _is(depth(redis, Queue.SMALL) == 1))
    assert depth(redis, Queue.LARGE) == 1


async def test_flushed_broker_gets_every_hint_again_and_never_more_than_records(
    dispatcher: Dispatcher, ports: Ports, redis: "Redis"
) -> None:
    for _ in range(5):
        await retried(ports)
    for _ in range(3):
        redis.flushall()
        for _ in range(4):
            await dispatcher.dispatch()
            await eventually(lambda: _is(depth(redis, Queue.SMALL) == 5))


async def test_new_small_files_are_all_hinted_again_with_never_more_messages_than_records(
    dispatcher: Dispatcher, ports: Ports, redis: "Redis"
) -> None:
    """A message names several new files, so the number of messages does not tell how many hints are lost.

    The dispatcher therefore hints some files twice.
    """
    files = {(await registered(ports)).id for _ in range(5)}
    for _ in range(3):
        redis.flushall()
        for _ in range(4):
            await dispatcher.dispatch()
            await eventually(lambda: _is(named(redis, Queue.SMALL) == files))
            assert depth(redis, Queue.SMALL) <= len(files)


async def test_lost_messages_of_a_busy_queue_are_replaced(dispatcher: Dispatcher, ports: Ports, redis: "Redis") -> None:
    for _ in range(4):
        await retried(ports)
    await dispatcher.dispatch()
    await eventually(lambda: _is(depth(redis, Queue.SMALL) == 4))
    redis.rpop(Queue.SMALL.value, 2)
    await dispatcher.dispatch()
    await eventually(lambda: _is(depth(redis, Queue.SMALL) == 4))


async def _is(fact: bool) -> bool:
    return fact
