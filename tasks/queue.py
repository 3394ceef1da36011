"""Hints to the workers, sent without making a caller wait; and the depths of the workers' queues."""

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import structlog
from celery import Celery
from kombu.connection import Connection
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from gridhaul.outgoing.tls import tls_refusal
from gridhaul.transfer.bundle import BUNDLE_FILES
from gridhaul.transfer.errors import BROKER_SILENT, BrokerRefusesWrites, BrokerUnavailable
from gridhaul.transfer.model import Hint, Queue, TaskName

WAITING_AT_MOST = 10_000
BROKER_TIMEOUT_SECONDS = 0.5
BREAKER_SECONDS = 2.0
LINGER_SECONDS = 0.2
CHECK_KEY = "gridhaul:readyz"  # the Redis key that the health check writes
CHECK_KEY_SECONDS = 60
REFUSED = (
    "The broker Redis refuses writes, so no worker learns of new work; "
    "check `maxmemory`, the disk, and whether it is a replica."
)

log = structlog.get_logger(__name__)


def bundled(hints: "queue.Queue[Hint | None]") -> Iterator[Sequence[Hint]]:
    """Yield the hints up to None, in groups for one message each: hints for bundles together, any other hint alone.

    The first hint for a bundle is yielded at once. Later hints for bundles wait for each other until LINGER_SECONDS
    have passed since the last yield of hints for a bundle, or until BUNDLE_FILES hints wait.
    """
    waiting: list[Hint] = []
    not_before = 0.0
    while True:
        if waiting and (len(waiting) == BUNDLE_FILES or time.monotonic() >= not_before):
            yield waiting
            waiting, not_before = [], time.monotonic() + LINGER_SECONDS
        try:
            hint = hints.get(timeout=max(0.0, not_before - time.monotonic()) if waiting else None)
        except queue.Empty:
            continue
        if hint is None:
            break
        if hint.task is TaskName.STORE_BUNDLE:
            waiting.append(hint)
        else:
            yield [hint]
    if waiting:
        yield waiting


class HintSender:
    """The port `transfer.ports.hints.Hints` over Celery, with a thread of its own that sends.

    A hint that cannot be sent is dropped: the dispatcher hints the record again.
    """

    def __init__(self, redis_url: str) -> None:
        self._hints: queue.Queue[Hint | None] = queue.Queue(maxsize=WAITING_AT_MOST)
        self._closed_until = 0.0
        self._app = Celery("gridhaul-hints", broker=redis_url, set_as_current=False)
        self._app.conf.update(
            task_ignore_result=True,
            broker_transport_options={
                "max_retries": 0,
                "socket_timeout": BROKER_TIMEOUT_SECONDS,
                "socket_connect_timeout": BROKER_TIMEOUT_SECONDS,
            },
        )
        self._thread = threading.Thread(target=self._send_all, name="hints", daemon=True)
        self._thread.start()

    def offer(self, hint: Hint) -> None:
        with suppress(queue.Full):
            self._hints.put_nowait(hint)

    def close(self) -> None:
        """Send the hints that were offered, then stop the thread. Waits at most 3 seconds."""
        with suppress(queue.Full):
            self._hints.put(None, timeout=1)
        self._thread.join(timeout=2)

    def _send_all(self) -> None:
        with self._app.connection_for_write() as connection:
            for hints in bundled(self._hints):
                if time.monotonic() < self._closed_until:
                    continue
                try:
                    self._send(hints, connection)
                except Exception as error:
                    self._closed_until = time.monotonic() + BREAKER_SECONDS
                    log.warning("hint_not_sent", cause=type(error).__name__)
                    with suppress(Exception):
                        connection.collapse()

    def _send(self, hints: Sequence[Hint], connection: Connection) -> None:
        task, name = hints[0].task, hints[0].queue.value
        ids = [hint.record_id for hint in hints]
        argument = ids if task is TaskName.STORE_BUNDLE else ids[0]
        self._app.send_task(task, [argument], queue=name, connection=connection, retry=False)


class Broker:
    """The port `transfer.ports.hints.QueueDepths` on Redis, and the health check of Redis."""

    def __init__(self, redis_url: str) -> None:
        self._redis: Redis = Redis.from_url(
            redis_url, socket_timeout=BROKER_TIMEOUT_SECONDS, socket_connect_timeout=BROKER_TIMEOUT_SECONDS
        )

    async def depths(self) -> dict[Queue, int]:
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name in Queue:
                    pipeline.llen(name.value)
                return dict(zip(Queue, await pipeline.execute(), strict=True))
        except (RedisError, OSError) as error:
            raise BrokerUnavailable(_unreachable(error)) from error

    async def check(self) -> None:
        """Raise BrokerUnavailable if Redis does not answer, and BrokerRefusesWrites if it refuses writes.

        The check writes, because a Redis that refuses writes still answers reads: at its memory limit, when it cannot
        save to its disk, and as a replica.
        """
        try:
            await self._redis.set(CHECK_KEY, "", ex=CHECK_KEY_SECONDS)
        except ResponseError as error:
            raise BrokerRefusesWrites(REFUSED) from error
        except (RedisError, OSError) as error:
            raise BrokerUnavailable(_unreachable(error)) from error

    async def close(self) -> None:
        await self._redis.aclose()


def _unreachable(error: Exception) -> str:
    if why := tls_refusal(error):
        return f"No secure way to Redis: {why}; check GRIDHAUL_REDIS_URL."
    return BROKER_SILENT
