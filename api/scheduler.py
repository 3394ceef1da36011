"""The scheduler: a loop that opens the checks whose time has come."""

import structlog

from api.repeating import repeat
from gridhaul.storage.checking.schedule import MongoSchedule
from gridhaul.transfer.model import Hint, TaskName
from tasks.queue import HintSender

log = structlog.get_logger(__name__)


class Scheduler:
    """Runs in every api process; the schedule decides who opens a check."""

    def __init__(self, schedule: MongoSchedule, hints: HintSender, *, every_seconds: float) -> None:
        self._schedule = schedule
        self._hints = hints
        self._every_seconds = every_seconds

    async def run(self) -> None:
        """Until cancelled."""
        await repeat(self.open_due, every_seconds=self._every_seconds, log=log, name="scheduling")

    async def open_due(self) -> None:
        """Open what is due, and hint it."""
        for check in await self._schedule.open_due():
            log.info("check_opened", check_id=check.id, kind=check.kind.value)
            self._hints.offer(Hint(task=TaskName.RUN_CHECK, record_id=check.id, queue=check.queue))
