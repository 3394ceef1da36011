"""Lets accounts take turns, so that no account waits for everything that another one has queued before.

A queue of the broker knows no accounts: the messages of one account may stand before all others. So a message only
wakes a child. Before the child works on the message, it does one turn of work for each account that waits, except the
one that it served last.
"""

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

import structlog

from gridhaul.transfer.errors import DatabaseUnavailable
from gridhaul.transfer.model import Hint, Queue, RecordId, TaskName
from gridhaul.transfer.ports.hints import WaitingOwners

LOOK_FOR_OTHERS_SECONDS = 0.25  # while nobody else waits, a child looks for others at most every so many seconds
TURNS_MOST = 16  # so many others are served before the message itself

R = TypeVar("R")  # the runtime of the journeys
JourneyOfSeveral = Callable[[R, Sequence[RecordId]], Coroutine[Any, Any, None]]
log = structlog.get_logger(__name__)


class Turns(Generic[R]):
    """The turns of one child: whom it served last, who comes next, and the journeys that make a turn."""

    def __init__(
        self,
        waiting: WaitingOwners,
        *,
        queues: frozenset[Queue],
        journeys: Mapping[TaskName, JourneyOfSeveral[R]],
        stopping: Callable[[], bool],
    ) -> None:
        self._waiting = waiting
        self._queues = sorted(queues - {Queue.MAINTENANCE})
        self._journeys = journeys
        self._stopping = stopping
        self._served: str | None = None
        self._look_at = 0.0

    def note(self, owner: str) -> None:
        """Note that the child works for the owner now."""
        self._served = owner

    async def serve_others(self, runtime: R) -> None:
        """Do a turn of work for each account that waits, except the one that the child served last.

        Do nothing if the database does not answer: then the message itself is next.
        """
        for hints in await self._others():
            if self._stopping():
                break
            await self._serve(runtime, hints)

    async def _serve(self, runtime: R, hints: Sequence[Hint]) -> None:
        task = hints[0].task
        try:
            await self._journeys[task](runtime, [hint.record_id for hint in hints])
        except Exception:
            log.exception("turn_broke", task=task.value)  # the message that woke the child comes next all the same

    async def _others(self) -> list[Sequence[Hint]]:
        if self._served is None or time.monotonic() < self._look_at:
            return []
        turns: list[Sequence[Hint]] = []
        with suppress(DatabaseUnavailable):
            for queue in self._queues:
                turns += await self._others_in(queue, self._served)
        if not turns:
            self._look_at = time.monotonic() + LOOK_FOR_OTHERS_SECONDS
        return turns

    async def _others_in(self, queue: Queue, served: str) -> list[Sequence[Hint]]:
        turns: dict[str, Sequence[Hint]] = {}
        after = served
        while len(turns) < TURNS_MOST:
            found = await self._waiting.next(queue, after=after, instead_of=served)
            if found is None or found[0] in turns:
                break
            after = found[0]
            turns[after] = found[1]
        return [*turns.values()]
