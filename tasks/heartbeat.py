"""The heartbeat of one worker process: it tells in MongoDB that the process lives, and what it misses."""

import asyncio
from collections.abc import Callable

import structlog

from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError
from gridhaul.transfer.model import Queue
from gridhaul.transfer.obstacles import BEAT_SECONDS
from gridhaul.transfer.ports.chunk_service import ChunkServiceHealth
from gridhaul.transfer.ports.heartbeats import Heartbeats

LOOK_SECONDS = 1.0  # how soon a process that can take messages again tells so

log = structlog.get_logger(__name__)


class Heartbeat:
    """The loop that writes the heartbeats of a process. It runs beside the tasks, and no task waits for it."""

    def __init__(
        self,
        heartbeats: Heartbeats,
        chunk_service: ChunkServiceHealth,
        *,
        queues: frozenset[Queue],
        takes_messages: Callable[[], bool],
    ) -> None:
        """`takes_messages` returns whether the worker is connected to the broker, and not stopping."""
        self._heartbeats = heartbeats
        self._chunk_service = chunk_service
        self._queues = queues
        self._takes_messages = takes_messages

    async def run(self) -> None:
        """Write a heartbeat every BEAT_SECONDS until cancelled, except while the process takes no messages."""
        while True:
            if self._takes_messages():
                await self._beat()
            await asyncio.sleep(BEAT_SECONDS if self._takes_messages() else LOOK_SECONDS)

    async def _beat(self) -> None:
        """Write one heartbeat. A heartbeat that cannot be written is left out: the next follows soon."""
        try:
            missing = await self._missing()
            async with asyncio.timeout(BEAT_SECONDS):
                await self._heartbeats.beat(self._queues, missing)
        except (DatabaseUnavailable, TimeoutError):
            return
        except Exception:
            log.exception("heartbeat_broke")

    async def _missing(self) -> str | None:
        """Return the code of the error that keeps this process from storing files, or None."""
        try:
            await self._chunk_service.check()
        except GridhaulError as error:
            return error.code
        return None
