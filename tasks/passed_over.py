"""Counts the messages that a worker passed over, and logs them."""

import ctypes
import multiprocessing
import time

from celery.utils.log import get_logger

LOG_SECONDS = 1.0  # during a flood, the worker logs one message in this time

logger = get_logger(__name__)


class PassedOver:
    """The count, in memory that the parent shares with its children. Only the parent, which takes messages, writes it.

    The value is made before the children are forked, and is written in one step, so no lock is needed.
    """

    def __init__(self) -> None:
        self._count = multiprocessing.RawValue(ctypes.c_uint64, 0)
        self._logged_at = -LOG_SECONDS

    def note(self, *, queue: str, length_bytes: int, kept: bool) -> None:
        """Count a message of the queue. The log gets its length, and nothing of its content."""
        self._count.value += 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            text = "message_passed_over queue=%s bytes=%d kept=%s count=%d"
            logger.warning(text, queue, length_bytes, kept, self._count.value)

    def count(self) -> int:
        """Return how many messages the worker has passed over since it started."""
        return int(self._count.value)
