"""The N-th call of the ports fails, for N = 1, 2, 3 … until a run has no failure; each time the invariants hold."""

import math
import random
from collections.abc import Awaitable, Callable

import pytest

from gridhaul.transfer import bundle
from gridhaul.transfer.chunking import CHUNK_BYTES, chunk_count
from gridhaul.transfer.model import IfExists, RecordId
from gridhaul.transfer.states import DeliveryState, FileState
from tests.contracts.bytes_to_store import some_bytes
from tests.faults.every_call import AT_ONCE, CALLS_AT_MOST, Story, every_call, run_twins
from tests.faults.failing import Faults, Way
from tests.faults.twin_invariants import assert_deleted, assert_delivered, assert_failed
from tests.faults.twin_system import LEASE_SECONDS, Case, TwinSystem

AWAY_SECONDS = LEASE_SECONDS + 10
FEWEST_CALLS = 20
OLD = b"what was there before"
BYTES, CHUNKS = some_bytes(5), some_bytes(CHUNK_BYTES + 5)
SEGMENTS = some_bytes(3 * CHUNK_BYTES + 5)  # a whole segment of two chunks, and a part of the next

CASES = {
    "small": Case(data=BYTES, inline_limit_chunks=0),
    "inline": Case(data=CHUNKS),
    "gridfs": Case(data=CHUNKS, inline_limit_chunks=0, segment_chunks=1),
    "empty": Case(data=b""),
    "grown": Case(data=CHUNKS, registered=BYTES),
    "shrunk": Case(data=BYTES, registered=CHUNKS),
    "overwrite": Case(data=BYTES, if_exists=IfExists.OVERWRITE, there_before=OLD),
    "rename": Case(data=BYTES, if_exists=IfExists.RENAME, there_before=OLD),
    "one-pass": Case(data=CHUNKS, atomic=False),
    "one-pass-overwrite": Case(data=BYTES, atomic=False, if_exists=IfExists.OVERWRITE, there_before=OLD),
    "one-pass-rename": Case(data=BYTES, atomic=False, if_exists=IfExists.RENAME, there_before=OLD),
}

Course = Callable[[TwinSystem, RecordId], Awaitable[None]]


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def _prepared(course: Course) -> Story:
    """Return a story: prepare a file, let the system come to rest, then run `course`."""

    async def story(system: TwinSystem) -> None:
        file_id = await system.prepare()
        await system.rest()
        await course(system, file_id)

    return story


async def _there_and_gone(system: TwinSystem, file_id: RecordId) -> None:
    """Require that the file is delivered; delete it, and require that it is deleted."""
    await assert_delivered(system, file_id)
    await _deleted(system, file_id)
    await assert_deleted(system, file_id)


async def _deleted(system: TwinSystem, file_id: RecordId) -> None:
    asked = (await system.file(file_id)).deliveries_asked
    deleting = await system.files.request_delete(file_id, deliveries_asked=asked)
    assert deleting is not None
    assert deleting.state is FileState.DELETING
    await system.rest()


async def _with_an_operator(system: TwinSystem, file_id: RecordId) -> None:
    """Finalize again where the target was away for too long, so that the delivery FAILED; then do `_there_and_gone`."""
    delivery = await system.delivery(file_id)
    if delivery.state is DeliveryState.FAILED:
        assert delivery.error is not None
        assert delivery.error.code == "target_unavailable"
        await system.finalize(file_id)
        await system.rest()
    await _there_and_gone(system, file_id)


def _unreadable_and_gone(read_chunks: int) -> Course:
    """Require that the chunks that were read before the source became unreadable are stored; delete the file."""

    async def course(system: TwinSystem, file_id: RecordId) -> None:
        file = await system.file(file_id)
        await assert_failed(system, file_id, "source_read_failed")
        assert file.content_id is not None
        stored = system.contents.chunks.get(file.content_id, {})
        assert (file.stored_bytes, sorted(stored)) == (read_chunks * CHUNK_BYTES, list(range(read_chunks)))
        await _deleted(system, file_id)
        await assert_deleted(system, file_id)

    return course


@pytest.mark.parametrize("way", AT_ONCE)
def test_any_call_may_fail(case: Case, way: Way) -> None:
    assert every_call(case, lambda number: Faults({number: way}), _prepared(_there_and_gone)) > FEWEST_CALLS


@pytest.mark.parametrize(("name", "step"), [("small", 1), ("gridfs", 5), ("rename", 5), ("one-pass-overwrite", 5)])
def test_any_request_of_a_worker_that_died_may_arrive_at_any_later_call(name: str, step: int) -> None:
    for number in range(1, CALLS_AT_MOST):
        for later in range(1, CALLS_AT_MOST, step):
            faults = Faults({number: Way.ARRIVES_LATE}, late_calls=later)
            run_twins(CASES[name], faults, _prepared(_there_and_gone))
            if not faults.arrived:
                break
        if not faults.all_met:
            assert number > FEWEST_CALLS
            return
    raise AssertionError("the story has too many calls")


@pytest.mark.parametrize("port", ["files", "deliveries", "contents", "usage", "chunks", "target"])
def test_any_port_may_be_away_for_longer_than_a_lease(case: Case, port: str) -> None:
    def away(number: int) -> Faults:
        return Faults({number: Way.AWAY}, port=port, away_seconds=AWAY_SECONDS)

    assert every_call(case, away, _prepared(_with_an_operator))


@pytest.mark.parametrize("segment_chunks", [1, 2, 16])
@pytest.mark.parametrize("inline_limit_chunks", [0, 15], ids=["gridfs", "inline"])
def test_source_that_can_not_be_read_from_some_read_on_fails_with_what_was_read_before_stored(
    monkeypatch: pytest.MonkeyPatch, inline_limit_chunks: int, segment_chunks: int
) -> None:
    monkeypatch.setattr(bundle, "BUNDLED_FILE_BYTES", 0)  # a bundle stores nothing of a file that it cannot read whole
    case = Case(data=SEGMENTS, inline_limit_chunks=inline_limit_chunks, segment_chunks=segment_chunks)
    for number in range(1, chunk_count(len(SEGMENTS)) + 1):
        faults = Faults({number: Way.AWAY}, port="source", away_seconds=math.inf)
        run_twins(case, faults, _prepared(_unreadable_and_gone(number - 1)))
        assert faults.all_met


def test_any_call_may_fail_and_any_call_of_the_recovery() -> None:
    """Every pair of calls fails, each call in a way drawn at random."""
    ways, draw = tuple(way for way in Way if way is not Way.AWAY), random.Random(1)

    def then(first: int) -> Callable[[int], Faults]:
        plan = {first: draw.choice(ways)}
        return lambda after: Faults({**plan, first + after: draw.choice(ways)}, late_calls=draw.randrange(1, 20))

    for first in range(1, CALLS_AT_MOST):
        if not every_call(CASES["small"], then(first), _prepared(_there_and_gone)):
            assert first > FEWEST_CALLS
            return
