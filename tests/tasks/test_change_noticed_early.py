"""A change of the source ends its reading at the next look, and a look at the source is due once a second."""

import os
from pathlib import Path

import pytest

from gridhaul.source import reader
from gridhaul.transfer.origins import IfChanged
from gridhaul.transfer.states import FileState
from tasks import attempt
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.tasks.storing_bench import Bench, Change, append, make_bench, touch_all_ways
from tests.tasks.test_changed_source import CHANGED, STARTED_OVER, STORED, at, counting_readings, outcome

CHUNKS = 64
PREAD = os.pread
WRITES: dict[str, Change] = {
    "grown": append,
    "written to": lambda path: os.utime(path, ns=(0, 1)),
    "cut behind what was read": lambda path: os.truncate(path, CHUNKS * MIB - 1),
}


@pytest.fixture
def bench(tmp_path: Path, at_once: None, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(attempt, "TICK_SECONDS", 0.002)
    bench = make_bench(tmp_path)
    bench.path.write_bytes(some_bytes(CHUNKS * MIB))
    return bench


@pytest.fixture
def every_look_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LOOK_SECONDS", 0.0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the number of each chunk that is read."""
    chunks: list[int] = []

    def noted(descriptor: int, length: int, offset: int) -> bytes:
        chunks.append(offset // MIB)
        return PREAD(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", noted)
    return chunks


@pytest.mark.usefixtures("every_look_is_due")
@pytest.mark.parametrize("change", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize(("policy", "end"), [(IfChanged.FAIL, CHANGED), (IfChanged.RESTART, STARTED_OVER)])
async def test_source_that_changes_is_not_read_any_further(
    bench: Bench, reads: list[int], change: Change, policy: IfChanged, end: tuple[FileState, str]
) -> None:
    await bench.register(policy)
    at(bench, 3, change)
    assert outcome(await bench.attempt()) == end
    assert max(reads) <= 4, "two segments are stored, one waits to be sent, and one was read ahead"


@pytest.mark.usefixtures("every_look_is_due")
async def test_restarted_source_is_stored_as_it_is_after_the_change(bench: Bench) -> None:
    await bench.register(IfChanged.RESTART)
    at(bench, 3, append)
    assert outcome(await bench.attempt()) == STARTED_OVER
    file = await bench.attempt()
    assert (outcome(file), bench.stored(file)) == (STORED, bench.path.read_bytes())


@pytest.mark.usefixtures("every_look_is_due")
async def test_source_that_is_only_touched_is_read_to_its_end(bench: Bench, reads: list[int]) -> None:
    await bench.register()
    at(bench, 3, touch_all_ways)
    assert outcome(await bench.attempt()) == STORED
    assert reads == [*range(CHUNKS), *range(CHUNKS)]


@pytest.mark.usefixtures("every_look_is_due")
async def test_second_reading_of_a_source_that_changes_meanwhile_ends_at_once(
    bench: Bench, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    counting_readings(bench, monkeypatch, append)
    await bench.register()
    at(bench, 3, touch_all_ways)
    assert outcome(await bench.attempt()) == CHANGED
    assert reads == [*range(CHUNKS)]
