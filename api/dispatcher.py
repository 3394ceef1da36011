"""The dispatcher: a loop that hints what is due, so that a lost message or worker loses nothing."""

from collections.abc import Sequence
from contextlib import suppress

import structlog

from api.repeating import repeat
from gridhaul.storage.agenda import DispatcherLease
from gridhaul.transfer.errors import GridhaulError
from gridhaul.transfer.model import Hint, Queue
from gridhaul.transfer.ports import Agenda
from tasks.queue import Broker, HintSender

HINTS_A_RUN = 200
EMPTY_QUEUE_SECONDS = 2.0  # what was hinted just now may be on its way
BUSY_QUEUE_SECONDS = 60.0  # workers may have taken messages and not claimed yet

log = structlog.get_logger(__name__)


class Dispatcher:
    """Runs in every api process; works in the one that holds the lease."""

    def __init__(
        self, *, lease: DispatcherLease, agenda: Agenda, broker: Broker, hints: HintSender, every_seconds: float
    ) -> None:
        self._lease = lease
        self._agenda = agenda
        self._broker = broker
        self._hints = hints
        self._every_seconds = every_seconds

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await repeat(self.dispatch, every_seconds=self._every_seconds, log=log, name="dispatch")
        finally:
            with suppress(GridhaulError):
                await self._lease.give_up()

    async def dispatch(self) -> None:
        """Hint what is owed a hint; and again what was hinted, where messages must have been lost."""
        if not await self._lease.hold():
            return
        hints: list[Hint] = []
        for queue, depth in (await self._broker.depths()).items():
            hints += await self._lost(queue, depth)
        hints += await self._agenda.due(HINTS_A_RUN)
        for hint in hints:
            self._hints.offer(hint)
        if hints:
            log.info("hinted", count=len(hints))

    async def _lost(self, queue: Queue, depth: int) -> Sequence[Hint]:
        """Fewer messages wait than records were hinted. So there are never more messages than records."""
        lost = await self._agenda.unanswered(queue, depth + HINTS_A_RUN) - depth
        if lost <= 0:
            return []
        seconds = EMPTY_QUEUE_SECONDS if depth == 0 else BUSY_QUEUE_SECONDS
        return await self._agenda.overlooked(queue, lost, seconds=seconds)
