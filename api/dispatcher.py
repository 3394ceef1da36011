"""The dispatcher: a loop that sends hints for due records, so that no work is lost with a message or a worker."""

from collections.abc import Sequence
from contextlib import suppress

import structlog

from api.repeating import repeat
from gridhaul.transfer.errors import GridhaulError
from gridhaul.transfer.model import Hint, Queue
from gridhaul.transfer.ports.hints import Agenda, DispatcherLease, Hints, QueueDepths

HINTS_A_RUN = 200
# The age from which a hint is repeated. The message of a younger hint may not have reached the empty queue yet; in a
# busy queue, a worker may have taken the message and not claimed its record yet.
EMPTY_QUEUE_SECONDS = 2.0
BUSY_QUEUE_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Dispatcher:
    """A dispatcher runs in every api process, but sends hints only while it holds the dispatcher's lease."""

    def __init__(
        self, *, lease: DispatcherLease, agenda: Agenda, broker: QueueDepths, hints: Hints, every_seconds: float
    ) -> None:
        self._lease = lease
        self._agenda = agenda
        self._broker = broker
        self._hints = hints
        self._every_seconds = every_seconds

    async def run(self) -> None:
        """Call `dispatch` every `every_seconds` until cancelled, then give up the lease."""
        try:
            await repeat(self.dispatch, every_seconds=self._every_seconds, log=log, name="dispatch")
        finally:
            with suppress(GridhaulError):
                await self._lease.give_up()

    async def dispatch(self) -> None:
        """Send every hint that is owed, and repeat earlier hints of a queue that must have lost messages."""
        if not await self._lease.hold():
            return
        hints: list[Hint] = []
        for queue, depth in (await self._broker.depths()).items():
            hints += await self._lost_hints(queue, depth)
        hints += await self._agenda.due(HINTS_A_RUN)
        for hint in hints:
            self._hints.offer(hint)
        if hints:
            log.info("hinted", count=len(hints))

    async def _lost_hints(self, queue: Queue, depth: int) -> Sequence[Hint]:
        """Return hints to send again, because the queue must have lost their messages.

        `depth` is the number of messages in the queue. Each record that was hinted and not claimed since should have a
        message there. If there are more such records than messages, the difference is the number of lost messages. No
        more hints than that are returned, so a queue never holds more messages than records that wait for a worker.
        """
        lost = await self._agenda.unanswered(queue, depth + HINTS_A_RUN) - depth
        if lost <= 0:
            return []
        seconds = EMPTY_QUEUE_SECONDS if depth == 0 else BUSY_QUEUE_SECONDS
        return await self._agenda.overlooked(queue, lost, seconds=seconds)
