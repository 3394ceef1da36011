"""The heartbeat of one worker process: a loop writes that the process lives, and why it cannot store files."""

import asyncio
from collections.abc import Callable

import structlog

from gridhaul.process.cancellation import end_if_cancelled
from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError
from gridhaul.transfer.model import Queue
from gridhaul.transfer.ports.chunk_service import ChunkServiceHealth
from gridhaul.transfer.ports.heartbeats import Heartbeats
from gridhaul.transfer.worker_health import BEAT_SECONDS

LASTING_SECONDS = 3.0  # how long an error of the chunk service must last before heartbeats report it
RECHECK_SECONDS = 1.0  # how often a process looks again that takes no messages, or cannot store files

log = structlog.get_logger(__name__)


class Heartbeat:
    """The loop that writes the heartbeats of a process. It runs concurrently with tasks, and no task waits for it."""

    def __init__(
        self,
        heartbeats: Heartbeats,
        chunk_service: ChunkServiceHealth,
        *,
        queues: frozenset[Queue],
        takes_messages: Callable[[], bool],
        passed_over: Callable[[], int],
    ) -> None:
        """`takes_messages` returns whether the worker is connected to the broker and is not stopping.

        `passed_over` returns how many messages the worker has passed over.
        """
        self._heartbeats = heartbeats
        self._chunk_service = chunk_service
        self._queues = queues
        self._takes_messages = takes_messages
        self._passed_over = passed_over
        self._failing_since: float | None = None  # by the event loop's clock; None: the chunk service can store files

    async def run(self) -> None:
        """Write a heartbeat every BEAT_SECONDS until cancelled, except while the process takes no messages.

        The period includes the time that the check and the write take. So two heartbeats are at most SILENT_SECONDS
        apart, even if the check is slow and one write between them is lost. A process that cannot store files looks
        again after RECHECK_SECONDS, so that the end of the error is noticed soon.
        """
        clock = asyncio.get_running_loop().time
        while True:
            began_at, takes_messages = clock(), self._takes_messages()
            if takes_messages:
                await self._beat()
            end_if_cancelled()
            is_well = takes_messages and self._failing_since is None
            await asyncio.sleep(began_at + (BEAT_SECONDS if is_well else RECHECK_SECONDS) - clock())

    async def _beat(self) -> None:
        """Write one heartbeat. A heartbeat that cannot be written in time is left out: the next one follows soon."""
        try:
            async with asyncio.timeout(BEAT_SECONDS):
                error = await self._storing_error()
                await self._heartbeats.beat(self._queues, error, passed_over=self._passed_over())
        except (DatabaseUnavailable, TimeoutError):
            return
        except Exception:
            log.exception("heartbeat_broke")

    async def _storing_error(self) -> str | None:
        """Return the code of the error that keeps this process from storing files, or None.

        An error counts once it has lasted for LASTING_SECONDS: a chunk service that is just starting is no news.
        """
        try:
            await self._chunk_service.check()
        except GridhaulError as error:
            now = asyncio.get_running_loop().time()
            if self._failing_since is None:
                self._failing_since = now
            return error.code if now - self._failing_since >= LASTING_SECONDS else None
        self._failing_since = None
        return None
