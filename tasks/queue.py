"""Hints to the workers, sent without making a caller wait; and a look at what lies in the broker, Redis."""

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import structlog
from celery import Celery
from kombu.connection import Connection
from kombu.entity import Queue as KombuQueue
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from gridhaul.outgoing.tls import tls_refusal
from gridhaul.transfer.broker_health import FOREIGN_KEY, BrokerContents
from gridhaul.transfer.bundle import BUNDLE_FILES
from gridhaul.transfer.errors import BROKER_SILENT, BrokerRefusesWrites, BrokerUnavailable
from gridhaul.transfer.model import Hint, Queue, TaskName

WAITING_AT_MOST = 10_000
BROKER_TIMEOUT_SECONDS = 0.5
BREAKER_SECONDS = 2.0
LINGER_SECONDS = 0.2
CHECK_KEY = "gridhaul:readyz"  # the Redis key that the health check writes
CHECK_KEY_SECONDS = 60
LIST_TYPES = (b"list", b"none")  # the types of a key that can be a queue; Redis has no key for an empty list
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


def task_queues() -> list[KombuQueue]:
    """Return the queues as Celery knows them: each is one key in Redis, and no other key tells of it."""
    return [KombuQueue(queue.value, no_declare=True) for queue in Queue]  # type: ignore[no-untyped-call]


class HintSender:
    """The port `transfer.ports.hints.Hints` over Celery, with a thread of its own that sends.

    A hint that cannot be sent is dropped: the dispatcher hints the record again.
    """

    def __init__(self, redis_url: str) -> None:
        self._hints: queue.Queue[Hint | None] = queue.Queue(maxsize=WAITING_AT_MOST)
        self._closed_until = dict.fromkeys(Queue, 0.0)
        self._app = Celery("gridhaul-hints", broker=redis_url, set_as_current=False)
        self._app.conf.update(
            task_ignore_result=True,
            task_queues=task_queues(),
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
                queue = hints[0].queue
                if time.monotonic() < self._closed_until[queue]:
                    continue
                try:
                    self._send(hints, connection)
                except Exception as error:
                    self._break(queue, error.__cause__ or error)
                    with suppress(Exception):
                        connection.collapse()

    def _break(self, queue: Queue, cause: BaseException) -> None:
        """Drop hints for BREAKER_SECONDS: those of the queue if Redis has refused the hint, otherwise all."""
        refused = isinstance(cause, ResponseError)
        self._closed_until |= dict.fromkeys([queue] if refused else Queue, time.monotonic() + BREAKER_SECONDS)
        log.warning("hint_not_sent", queue=queue.value, cause=type(cause).__name__)

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
        """Return the depths of the queues whose keys are lists."""
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name in Queue:
                    pipeline.llen(name.value)
                answers = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            raise BrokerUnavailable(_unreachable(error)) from error
        return {queue: depth for queue, depth in zip(Queue, answers, strict=True) if isinstance(depth, int)}

    async def check(self) -> BrokerContents:
        """Return what in Redis is not Gridhaul's.

        Raises BrokerUnavailable if Redis does not answer, and BrokerRefusesWrites if it refuses writes.

        The check writes, because a Redis that refuses writes still answers reads: at its memory limit, when it cannot
        save to its disk, and as a replica.
        """
        try:
            await self._redis.set(CHECK_KEY, "", ex=CHECK_KEY_SECONDS)
            return await self._contents()
        except ResponseError as error:
            raise BrokerRefusesWrites(REFUSED) from error
        except (RedisError, OSError) as error:
            raise BrokerUnavailable(_unreachable(error)) from error

    async def _contents(self) -> BrokerContents:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name in Queue:
                pipeline.type(name.value)
            pipeline.llen(FOREIGN_KEY)
            *types, foreign = await pipeline.execute(raise_on_error=False)
        return BrokerContents(
            taken=frozenset(queue for queue, kind in zip(Queue, types, strict=True) if kind not in LIST_TYPES),
            foreign_messages=foreign if isinstance(foreign, int) else 0,
        )

    async def close(self) -> None:
        await self._redis.aclose()


def _unreachable(error: Exception) -> str:
    if why := tls_refusal(error):
        return f"No secure way to Redis: {why}; check GRIDHAUL_REDIS_URL."
    return BROKER_SILENT
