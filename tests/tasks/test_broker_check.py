"""The health check of Redis: it distinguishes a Redis that does not answer from one that refuses writes, and finds keys
and messages of other systems.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gridhaul.embedded.network import HOST, free_ports
from gridhaul.transfer.broker_health import FOREIGN_KEY
from gridhaul.transfer.errors import BrokerRefusesWrites, BrokerUnavailable
from gridhaul.transfer.model import Queue
from tasks.queue import CHECK_KEY, Broker
from tests.servers.redis import redis_server


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    with redis_server(tmp_path) as url:
        async with Redis.from_url(url) as redis:
            yield redis


@pytest.fixture
async def broker(redis: Redis) -> AsyncIterator[Broker]:
    address = redis.connection_pool.connection_kwargs
    broker = Broker(f"redis://{address['host']}:{address['port']}/0")
    yield broker
    await broker.close()


async def test_redis_that_takes_writes_is_fine_and_forgets_the_write(redis: Redis, broker: Broker) -> None:
    await broker.check()
    assert 0 < await redis.ttl(CHECK_KEY) <= 60


async def test_redis_at_its_memory_limit_refuses_writes(redis: Redis, broker: Broker) -> None:
    await redis.config_set("maxmemory", 1)
    with pytest.raises(BrokerRefusesWrites):
        await broker.check()
    assert await broker.depths(), "reads are still answered, so they are no check"
    await redis.config_set("maxmemory", 0)
    await broker.check()


async def test_redis_that_is_a_replica_refuses_writes(redis: Redis, broker: Broker) -> None:
    await redis.replicaof(HOST, str(free_ports(1)[0]))
    with pytest.raises(BrokerRefusesWrites):
        await broker.check()


async def test_key_of_another_type_is_found_and_the_depths_of_the_other_queues_are_told(
    redis: Redis, broker: Broker
) -> None:
    await redis.set("large", "not a list")
    await redis.lpush("small", "a message")
    assert (await broker.check()).taken == {Queue.LARGE}
    assert await broker.depths() == {Queue.SMALL: 1, Queue.MAINTENANCE: 0}
    assert await redis.get("large") == b"not a list"


async def test_foreign_messages_that_were_kept_are_counted(redis: Redis, broker: Broker) -> None:
    assert (await broker.check()).foreign_messages == 0
    await redis.lpush(FOREIGN_KEY, "one", "two")
    assert (await broker.check()).foreign_messages == 2


async def test_unreachable_redis_does_not_answer() -> None:
    broker = Broker(f"redis://{HOST}:{free_ports(1)[0]}/0")
    with pytest.raises(BrokerUnavailable):
        await broker.check()
    await broker.close()
