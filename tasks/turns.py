"""Lets accounts take turns: before a child works for the account that it served last, it serves those that wait.

A queue of the broker knows no accounts: the messages of one account may stand before all others. So a message only
wakes a child, and the child looks for whom it has to work first.
"""

import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import structlog

from gridhaul.transfer.errors import DatabaseUnavailable
from gridhaul.transfer.model import Hint, Queue, TaskName
from gridhaul.transfer.ports.hints import WaitingOwners

LOOK_SECONDS = 0.25  # while nobody else waits, a child looks for others at most every so many seconds
TURNS_MOST = 16  # so many others are served before the message itself

TAKES_IDS = frozenset({TaskName.STORE_BUNDLE, TaskName.FINALIZE_FILE})  # their journeys take a list of ids
Journey = Callable[[Any, Any], Coroutine[Any, Any, None]]
_JOURNEYS: dict[TaskName, Journey] = {}
log = structlog.get_logger(__name__)


class Turns:
    """The turns of one child: whom it served last, and who comes next."""

    def __init__(self, waiting: WaitingOwners, queues: frozenset[Queue]) -> None:
        self._waiting = waiting
        self._queues = sorted(queues - {Queue.MAINTENANCE})
        self._served: str | None = None
        self._look_at = 0.0

    def note(self, owner: str) -> None:
        """Note that the child works for the owner now."""
        self._served = owner

    async def others(self) -> list[Sequence[Hint]]:
        """Return a turn of work for each account that waits, before the one that the child served last.

        Return none if the database does not answer: then the message itself is next.
        """
        if self._served is None or time.monotonic() < self._look_at:
            return []
        turns: list[Sequence[Hint]] = []
        with suppress(DatabaseUnavailable):
            for queue in self._queues:
                turns += await self._others(queue, self._served)
        if not turns:
            self._look_at = time.monotonic() + LOOK_SECONDS
        return turns

    async def _others(self, queue: Queue, served: str) -> list[Sequence[Hint]]:
        turns: dict[str, Sequence[Hint]] = {}
        after = served
        while len(turns) < TURNS_MOST:
            found = await self._waiting.next(queue, after=after, instead_of=served)
            if found is None or found[0] in turns:
                break
            after = found[0]
            turns[after] = found[1]
        return [*turns.values()]


def does(task: TaskName) -> Callable[[Journey], Journey]:
    """Say that the decorated journey does the work of a hint for the task."""

    def note(journey: Journey) -> Journey:
        _JOURNEYS[task] = journey
        return journey

    return note


def in_turn(journey: Journey) -> Journey:
    """Return a journey that first does a turn of work for every other account that waits, then `journey`."""

    async def taking_turns(runtime: Any, about: Any) -> None:
        for hints in await runtime.turns.others():
            if runtime.file_attempts.stopping():
                break
            await _turn(runtime, hints)
        await journey(runtime, about)

    return taking_turns


async def _turn(runtime: Any, hints: Sequence[Hint]) -> None:
    task = hints[0].task
    ids = [hint.record_id for hint in hints]
    try:
        await _JOURNEYS[task](runtime, ids if task in TAKES_IDS else ids[0])
    except Exception:
        log.exception("turn_broke", task=task.value)  # the message that woke the child comes next all the same
