"""The scheduler: a loop that opens the checks that are due."""

import structlog

from api.repeating import repeat
from gridhaul.transfer.model import Hint, TaskName
from gridhaul.transfer.ports.checking import CheckSchedule
from gridhaul.transfer.ports.hints import Hints

log = structlog.get_logger(__name__)


class Scheduler:
    """A scheduler runs in every api process; `MongoSchedule` lets only one process open a due check."""

    def __init__(self, schedule: CheckSchedule, hints: Hints, *, every_seconds: float) -> None:
        self._schedule = schedule
        self._hints = hints
        self._every_seconds = every_seconds

    async def run(self) -> None:
        """Call `open_due` every `every_seconds` until cancelled."""
        await repeat(self.open_due, every_seconds=self._every_seconds, log=log, name="scheduling")

    async def open_due(self) -> None:
        """Open the checks that are due, and send a hint for each."""
        for check in await self._schedule.open_due():
            log.info("check_opened", check_id=check.id, kind=check.kind.value)
            self._hints.offer(Hint(task=TaskName.RUN_CHECK, record_id=check.id, queue=check.queue))
