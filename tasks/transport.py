"""Kombu's Redis transport, made safe against everything that may lie in Redis.

With kombu's own transport, a malformed message or a key of another type ends the worker.
"""

import json
import time
from collections.abc import Sequence
from queue import Empty
from typing import Any

from celery.utils.dispatch import Signal
from celery.utils.log import get_logger
from kombu.transport import redis as kombu_redis
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from gridhaul.transfer.broker_health import FOREIGN_KEY
from tasks.messages import ForeignMessage, NoHint, read_hint
from tasks.queue import LIST_TYPES

PAUSE_SECONDS = 5.0  # how long a queue rests that Redis refuses to read

logger = get_logger(__name__)
message_passed_over = Signal(name="message_passed_over")


class _Client(Redis):
    """A client whose blocking pop returns hints only. It passes over any other message, as if the queue were empty."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        answer = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name != "BRPOP" or not answer:
            return answer
        key, message = answer
        queue = key.decode()
        try:
            return key, json.dumps(read_hint(message, queue=queue))
        except NoHint as refusal:
            kept = isinstance(refusal, ForeignMessage) and self._keep(message)
            message_passed_over.send(sender=type(self), queue=queue, length_bytes=len(message), kept=kept)
            return None

    def _keep(self, message: bytes) -> bool:
        """Move the message of another system to a list that nobody takes messages from."""
        try:
            self.lpush(FOREIGN_KEY, message)
        except ResponseError as error:
            logger.warning("foreign_message_lost key=%s cause=%s", FOREIGN_KEY, type(error).__name__)
            return False
        return True


class Channel(kombu_redis.Channel):
    """A channel that gives hints only, and that pauses each queue that Redis refuses to read.

    It keeps no copy of a message that a worker has taken, because a lost hint loses nothing. Kombu would write a copy
    to `unacked*`, and a full Redis, or another type under those keys, would end the worker.
    """

    ack_emulation = False
    priority_steps = [0]  # noqa: RUF012 - kombu's own form: every queue is one key

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._paused_until: dict[str, float] = {}
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]

    @property
    def active_queues(self) -> list[str]:
        now = time.monotonic()
        return [queue for queue in super().active_queues if self._paused_until.get(queue, now) <= now]

    def _get_client(self) -> type[Redis]:
        return _Client

    def _brpop_start(self, timeout: float | None = None) -> None:
        if set(self._queue_cycle.items) != set(self.active_queues):  # a pause has begun or ended
            self._update_queue_cycle()  # type: ignore[no-untyped-call]
        super()._brpop_start(timeout)  # type: ignore[no-untyped-call]

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except ResponseError as error:
            self._pause(error)
            raise Empty from error

    def _pause(self, error: ResponseError) -> None:
        """Pause the queues whose keys have another type; if Redis refuses for another reason, pause all queues."""
        queues = self._unreadable() or self.active_queues
        until = time.monotonic() + PAUSE_SECONDS
        self._paused_until.update(dict.fromkeys(queues, until))
        logger.warning("queues_paused queues=%s seconds=%d cause=%s", ",".join(queues), PAUSE_SECONDS, error)

    def _unreadable(self) -> Sequence[str]:
        """Return the queues whose keys in Redis have another type than a list."""
        queues = self.active_queues
        with self.conn_or_acquire() as client, client.pipeline(transaction=False) as pipeline:
            for queue in queues:
                pipeline.type(queue)
            types = pipeline.execute(raise_on_error=False)
        return [queue for queue, kind in zip(queues, types, strict=True) if kind not in LIST_TYPES]

    def _restore(self, message: Any, leftmost: bool = False) -> None:
        """Give back a hint that no child has taken yet: at its queue's front, if Redis takes it."""
        try:
            with self.conn_or_acquire() as client:
                client.rpush(message.delivery_info["routing_key"], json.dumps(message._raw))  # noqa: SLF001
        except (RedisError, OSError) as error:
            logger.warning("hint_not_given_back cause=%s", type(error).__name__)


class Transport(kombu_redis.Transport):
    """Kombu's transport with the channel above. `tasks/celery.py` lets kombu use it for every URL of Redis."""

    Channel = Channel
