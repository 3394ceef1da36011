"""How many parts of one object are sent at once, and how often a part is sent again."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from gridhaul.transfer.errors import GridhaulError, TargetBusy, TargetUnavailable
from gridhaul.transfer.retry import backoff_seconds

GROWS_AFTER = 64  # parts that the target has confirmed
TRIES = 4
LONGEST_WAIT_SECONDS = 10.0  # if the target asks for a longer wait, the attempt ends, and the worker takes another file

log = structlog.get_logger(__name__)


class InFlight:
    """The slots for parts that are sent at once.

    When the target says that it is busy, the number of slots is halved; after each 64 confirmed parts it grows by one.
    Parts that were sent beside each other may all meet one burst of such answers, so only the first of them counts.
    """

    def __init__(self, most: int) -> None:
        self.slots = self._most = most
        self._taken = 0
        self._halved = 0  # how often the number of slots was halved
        self._confirmed = 0  # parts since the number of slots has changed
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None]:
        """Wait for a slot, and hold it. A TargetBusy that passes through halves the number of slots.

        Nothing is halved if that has happened since the slot was taken.
        """
        while self._taken >= self.slots:
            self._freed.clear()
            await self._freed.wait()
        self._taken += 1
        halved = self._halved
        try:
            yield
        except TargetBusy:
            if halved == self._halved:
                self._halved += 1
                self._change(max(1, self.slots // 2))
            raise
        finally:
            self._taken -= 1
            self._freed.set()

    def confirmed(self) -> None:
        """Count a part that the target has confirmed."""
        self._confirmed += 1
        if self._confirmed == GROWS_AFTER:
            self._change(min(self._most, self.slots + 1))

    def _change(self, slots: int) -> None:
        self.slots, self._confirmed = slots, 0
        self._freed.set()


def repeats(**part: Any) -> AsyncRetrying:
    """Return the tries of one part. Each of them is signed anew, because it is a request of its own.

    `part` are the fields of the log's lines that tell which part it is.
    """
    return AsyncRetrying(
        retry=retry_if_exception(_may_pass_soon),
        before_sleep=partial(_log_repeat, log.bind(**part)),
        wait=_wait_seconds,
        stop=stop_after_attempt(TRIES),
        reraise=True,
    )


def _may_pass_soon(error: BaseException) -> bool:
    """Return whether the same part may be taken soon. Other kinds of TargetUnavailable need more than patience."""
    if not isinstance(error, GridhaulError) or type(error) not in (TargetUnavailable, TargetBusy):
        return False
    return (error.retry_after_seconds or 0.0) <= LONGEST_WAIT_SECONDS


def _wait_seconds(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, GridhaulError) else None
    return backoff_seconds(state.attempt_number, retry_after_seconds=asked, most_seconds=LONGEST_WAIT_SECONDS)


def _log_repeat(log: structlog.BoundLogger, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    detail = error.detail if isinstance(error, GridhaulError) else None
    log.warning("s3_part_repeated", detail=detail, tries=state.attempt_number)
