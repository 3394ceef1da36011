"""Work that must succeed once before a service may answer; it is repeated until it succeeds."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from gridhaul.process.cancellation import end_if_cancelled
from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError

RETRY_SECONDS = 0.5

log = structlog.get_logger(__name__)


class Readiness:
    """Work that runs again and again until it succeeds; until then `check` raises."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._done = False

    async def prepare(self) -> None:
        while not self._done:
            try:
                await self._work()
                self._done = True
            except GridhaulError as error:
                log.info("not_ready", code=error.code, cause=repr(error.__cause__))
            except Exception:
                log.exception("not_ready")
            else:
                return
            end_if_cancelled()
            await asyncio.sleep(RETRY_SECONDS)

    async def check(self) -> None:
        """Raise DatabaseUnavailable until the work is done."""
        if not self._done:
            raise DatabaseUnavailable("The service is starting; try again.")
