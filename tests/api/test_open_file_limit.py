"""`OpenFileLimit`: it counts the files of an owner seldom, and the number it assumes meanwhile is never too low."""

import asyncio
from types import SimpleNamespace

import pytest

from api import open_file_limit
from api.open_file_limit import KNOWN_SECONDS, OpenFileLimit
from gridhaul.transfer.errors import DatabaseUnavailable, TooManyOpenFiles
from tests.contracts.memory_registry import MemoryFiles
from tests.contracts.ports import new_file

OWNER = "operator"


class _Counting(MemoryFiles):
    """A registry that notes how often it counted, and returns a count only while `answers` is set."""

    def __init__(self) -> None:
        super().__init__(lease_seconds=60)
        self.counted = 0
        self.works = True
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()

    async def count_open(self, owner: str, *, limit: int) -> int:
        self.counted += 1
        self.asked.set()
        if not self.works:
            raise DatabaseUnavailable("Not now.")
        seen = await super().count_open(owner, limit=limit)
        await self.answers.wait()
        return seen


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return the clock of `OpenFileLimit`: it stands still until a test sets `now`."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(open_file_limit, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def files() -> _Counting:
    return _Counting()


@pytest.fixture
def known(files: _Counting, clock: SimpleNamespace) -> OpenFileLimit:
    return OpenFileLimit(files)


async def _register(known: OpenFileLimit, files: _Counting, *, limit: int) -> bool:
    """Return whether one more file was registered."""
    try:
        async with known.one_more(OWNER, limit=limit):
            await files.register(new_file())
    except TooManyOpenFiles:
        return False
    return True


async def _store_one(files: _Counting) -> None:
    del files.rows[next(iter(files.rows))]


async def test_many_files_are_counted_once(known: OpenFileLimit, files: _Counting) -> None:
    assert all([await _register(known, files, limit=100) for _ in range(50)])
    assert files.counted == 1


async def test_files_of_another_process_are_seen_a_second_later(
    known: OpenFileLimit, files: _Counting, clock: SimpleNamespace
) -> None:
    assert await _register(known, files, limit=10)
    for _ in range(9):
        await files.register(new_file())
    clock.now += KNOWN_SECONDS / 2
    assert await _register(known, files, limit=10)
    clock.now += KNOWN_SECONDS / 2
    assert not await _register(known, files, limit=10)


async def test_limit_holds_exactly_for_one_after_the_other(known: OpenFileLimit, files: _Counting) -> None:
    assert [await _register(known, files, limit=3) for _ in range(5)] == [True] * 3 + [False] * 2
    await _store_one(files)
    assert [await _register(known, files, limit=3) for _ in range(2)] == [True, False]


async def test_those_under_way_are_known_but_do_not_stand_against_the_limit(
    known: OpenFileLimit, files: _Counting, clock: SimpleNamespace
) -> None:
    async with known.one_more(OWNER, limit=2), known.one_more(OWNER, limit=2), known.one_more(OWNER, limit=2):
        clock.now += KNOWN_SECONDS
        assert await _register(known, files, limit=10)
    counted = files.counted
    assert all([await _register(known, files, limit=10) for _ in range(6)])
    assert files.counted == counted
    assert await _register(known, files, limit=10)
    assert files.counted == counted + 1


async def test_what_begins_while_the_files_are_counted_is_added(
    known: OpenFileLimit, files: _Counting, clock: SimpleNamespace
) -> None:
    assert await _register(known, files, limit=10)
    clock.now += KNOWN_SECONDS
    files.asked.clear()
    files.answers.clear()
    slow = asyncio.create_task(_register(known, files, limit=10))
    await files.asked.wait()
    assert all([await _register(known, files, limit=10) for _ in range(5)])  # decided by the earlier count
    files.answers.set()
    assert await slow
    counted = files.counted
    assert all([await _register(known, files, limit=10) for _ in range(3)])
    assert files.counted == counted
    assert not await _register(known, files, limit=10)


async def test_other_limit_of_the_owner_holds_at_once(known: OpenFileLimit, files: _Counting) -> None:
    assert [await _register(known, files, limit=2) for _ in range(3)] == [True, True, False]
    assert [await _register(known, files, limit=4) for _ in range(3)] == [True, True, False]
    assert not await _register(known, files, limit=0)


async def test_nothing_is_known_of_what_could_not_be_counted(known: OpenFileLimit, files: _Counting) -> None:
    files.works = False
    with pytest.raises(DatabaseUnavailable):
        await _register(known, files, limit=2)
    files.works = True
    assert [await _register(known, files, limit=2) for _ in range(3)] == [True, True, False]


async def test_owners_are_forgotten_when_there_are_too_many(
    known: OpenFileLimit, files: _Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_file_limit, "OWNERS_MOST", 2)
    for owner, counted in (("a", 1), ("b", 2), ("a", 2), ("c", 3), ("b", 3), ("a", 4)):
        async with known.one_more(owner, limit=10):
            assert files.counted == counted
