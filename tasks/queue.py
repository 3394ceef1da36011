"""Hints to the workers: sent without ever keeping a caller waiting."""

import queue
import threading
import time
from contextlib import suppress

import structlog
from celery import Celery
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gridhaul.tls import tls_refusal
from gridhaul.transfer.errors import BrokerUnavailable
from gridhaul.transfer.model import Hint, Queue

WAITING_AT_MOST = 10_000
BROKER_TIMEOUT_SECONDS = 0.5
BREAKER_SECONDS = 2.0

log = structlog.get_logger(__name__)


class HintSender:
    """Sends hints from a thread of its own. A hint that cannot be sent is dropped: the dispatcher finds the record."""

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
        """Send the hint soon, or drop it. Never waits."""
        with suppress(queue.Full):
            self._hints.put_nowait(hint)

    def close(self) -> None:
        """Send what was offered, then end, within two seconds."""
        with suppress(queue.Full):
            self._hints.put(None, timeout=1)
        self._thread.join(timeout=2)

    def _send_all(self) -> None:
        with self._app.connection_for_write() as connection:
            while (hint := self._hints.get()) is not None:
                if time.monotonic() < self._closed_until:
                    continue
                try:
                    name = hint.queue.value
                    self._app.send_task(hint.task, [hint.record_id], queue=name, connection=connection, retry=False)
                except Exception as error:
                    self._closed_until = time.monotonic() + BREAKER_SECONDS
                    log.warning("hint_not_sent", cause=type(error).__name__)
                    with suppress(Exception):
                        connection.collapse()


class Broker:
    """What the dispatcher and the health check ask of Redis."""

    def __init__(self, redis_url: str) -> None:
        self._redis: Redis = Redis.from_url(
            redis_url, socket_timeout=BROKER_TIMEOUT_SECONDS, socket_connect_timeout=BROKER_TIMEOUT_SECONDS
        )

    async def depths(self) -> dict[Queue, int]:
        """How many messages wait in each queue. Raises BrokerUnavailable."""
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name in Queue:
                    pipeline.llen(name.value)
                return dict(zip(Queue, await pipeline.execute(), strict=True))
        except (RedisError, OSError) as error:
            raise BrokerUnavailable(_unreachable(error)) from error

    async def check(self) -> None:
        """Raises BrokerUnavailable."""
        await self.depths()

    async def close(self) -> None:
        await self._redis.aclose()


def _unreachable(error: Exception) -> str:
    if why := tls_refusal(error):
        return f"No secure way to Redis: {why}; check GRIDHAUL_REDIS_URL."
    return "Redis does not answer."
