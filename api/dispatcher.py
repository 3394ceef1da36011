"""The dispatcher: a loop that hints what is due, so that a lost message or worker loses nothing."""

import asyncio
from contextlib import suppress

import structlog

from gridhaul.storage.agenda import DispatcherLease
from gridhaul.transfer.errors import GridhaulError
from gridhaul.transfer.ports import Agenda
from tasks.queue import Broker, HintSender

HINTS_A_RUN = 200

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
            while True:
                try:
                    await self.dispatch()
                except GridhaulError as error:
                    log.warning("dispatch_failed", code=error.code)
                except Exception:
                    log.exception("dispatch_broke")
                await asyncio.sleep(self._every_seconds)
        finally:
            with suppress(GridhaulError):
                await self._lease.give_up()

    async def dispatch(self) -> None:
        """Hint what is due, oldest first, but never so much that more messages wait than records."""
        if not await self._lease.hold():
            return
        depth = await self._broker.depth()
        if depth == 0:
            hints = await self._agenda.overlooked(HINTS_A_RUN)
        else:
            missing = await self._agenda.waiting(depth + HINTS_A_RUN) - depth
            hints = await self._agenda.due(min(missing, HINTS_A_RUN)) if missing > 0 else []
        for hint in hints:
            self._hints.offer(hint)
        if hints:
            log.info("hinted", count=len(hints), waiting_before=depth)
