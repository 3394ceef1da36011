"""Turns of a child: before the work of a message, it serves the accounts that wait, except the last served."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import cast

from gridhaul.transfer.errors import DatabaseUnavailable
from gridhaul.transfer.model import Hint, Queue, RecordId, TaskName
from tasks.runtime import Runtime
from tasks.turn_journeys import each
from tasks.turns import Turns


class Waiting:
    """A `transfer.ports.hints.WaitingOwners` in which each owner of the small queue waits with the same hints."""

    def __init__(self, owners: Sequence[str], *, task: TaskName = TaskName.STORE_BUNDLE, count: int = 1) -> None:
        self.owners = sorted(owners)
        self._task = task
        self._count = count

    async def next(self, queue: Queue, *, after: str, instead_of: str) -> tuple[str, Sequence[Hint]] | None:
        others = [owner for owner in self.owners if owner != instead_of]
        if queue is not Queue.SMALL or not others:
            return None
        owner = next((owner for owner in others if owner > after), others[0])
        ids = [RecordId(f"{owner}{number}") for number in range(self._count)]
        return owner, [Hint(task=self._task, record_id=record_id, queue=queue) for record_id in ids]


class Away(Waiting):
    """The same in a database that does not answer."""

    async def next(self, queue: Queue, *, after: str, instead_of: str) -> tuple[str, Sequence[Hint]] | None:
        raise DatabaseUnavailable("The database is away.")


async def note(served: list[str], record_ids: Sequence[RecordId]) -> None:
    served += record_ids


async def break_off(served: list[str], record_ids: Sequence[RecordId]) -> None:
    served += record_ids
    raise RuntimeError("unexpected")


def turns_of(
    waiting: Waiting, *, broken: bool = False, stopping: Callable[[], bool] = lambda: False
) -> Turns[list[str]]:
    journey = break_off if broken else note
    return Turns(waiting, queues=frozenset(Queue), journeys={TaskName.STORE_BUNDLE: journey}, stopping=stopping)


async def served_by(turns: Turns[list[str]], *, last: str | None = "b") -> list[str]:
    if last is not None:
        turns.note(last)
    served: list[str] = []
    await turns.serve_others(served)
    return served


async def test_each_account_that_waits_is_served_except_the_last_served() -> None:
    assert await served_by(turns_of(Waiting("abcd", count=2))) == ["c0", "c1", "d0", "d1", "a0", "a1"]


async def test_child_that_served_nobody_yet_serves_the_message_itself() -> None:
    assert await served_by(turns_of(Waiting("abcd")), last=None) == []


async def test_database_that_is_away_leaves_the_message_itself() -> None:
    assert await served_by(turns_of(Away("abcd"))) == []


async def test_turn_that_breaks_keeps_nobody_else_waiting() -> None:
    assert await served_by(turns_of(Waiting("abc"), broken=True)) == ["c0", "a0"]


async def test_worker_that_is_to_stop_begins_no_further_turn() -> None:
    looks = iter([False, True])
    assert await served_by(turns_of(Waiting("abc"), stopping=lambda: next(looks))) == ["c0"]


async def test_accounts_that_begin_to_wait_are_not_looked_for_right_after_a_look_in_vain() -> None:
    waiting = Waiting("b")
    turns = turns_of(waiting)
    assert await served_by(turns) == []
    waiting.owners = ["a", "b"]
    assert await served_by(turns) == []


async def test_journey_of_one_record_is_made_for_each_until_the_worker_is_to_stop() -> None:
    looks = iter([False, False, True])
    runtime = cast(Runtime, SimpleNamespace(stopping=lambda: next(looks)))
    made: list[str] = []

    async def journey(_: Runtime, record_id: str) -> None:
        made.append(record_id)

    await each(journey)(runtime, [RecordId(name) for name in "abc"])
    assert made == ["a", "b"]
