"""Small files are stored together, with every call failing in turn: each file comes to its own end."""

import random
from collections.abc import Mapping

import pytest

from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.states import DeliveryState, FileState
from tests.contracts.bytes_to_store import read, some_bytes
from tests.delivered import objects_in
from tests.faults.every_call import AT_ONCE, CALLS_AT_MOST, every_call, run_twins
from tests.faults.failing import Faults, Way
from tests.faults.twin_system import LEASE_SECONDS, Case, TwinSystem

FEWEST_CALLS = 15
AWAY_SECONDS = LEASE_SECONDS + 10
SENT, BESIDE, BEFORE = some_bytes(CHUNK_BYTES + 5), some_bytes(7), some_bytes(3)
CASES = {"inline": Case(data=SENT), "gridfs": Case(data=SENT, inline_limit_chunks=0)}


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


async def _bundle(system: TwinSystem) -> None:
    """Hint three files together: one is to be delivered, one only stored, and the source of the third has changed."""
    sent, beside = await system.prepare(), await system.prepare_beside("beside.h5", BESIDE)
    changed = await system.prepare_beside("changed.h5", BEFORE)
    (system.outgoing / "changed.h5").write_bytes(BESIDE)
    await system.rest()
    await _require_stored(system, {sent: SENT, beside: BESIDE})
    file, delivery = await system.file(changed), await system.delivery(sent)
    assert (file.state, file.error and file.error.code) == (FileState.FAILED, "source_changed")
    assert (delivery.state, delivery.error) == (DeliveryState.DELIVERED, None)
    assert [path.read_bytes() for path in objects_in(system.delivered)] == [SENT]
    await _delete(system, (sent, beside, changed))


async def _require_stored(system: TwinSystem, expected: Mapping[RecordId, bytes]) -> None:
    """Require that each file is stored with its bytes, and that nothing else is stored."""
    for file_id, data in expected.items():
        file = await system.file(file_id)
        assert (file.state, file.error, file.stored_bytes) == (FileState.STORED, None, len(data))
        content = await system.contents.get(file.content_id or RecordId(""))
        assert content is not None
        assert (content.refs, content.layout) == ((file_id,), file.layout)
        assert await read(system.contents, content) == data
    assert len(system.contents.rows) == len(system.contents.chunks) == len(expected)
    assert "internal" not in system.codes, "an attempt ended with an unexpected error"


async def _delete(system: TwinSystem, file_ids: tuple[RecordId, ...]) -> None:
    """Delete the files, and require that nothing of them is left."""
    for file_id in file_ids:
        asked = (await system.file(file_id)).deliveries_asked
        await system.files.request_delete(file_id, deliveries_asked=asked)
    await system.rest()
    assert {(await system.file(file_id)).state for file_id in file_ids} == {FileState.DELETED}
    assert not any((system.contents.rows, system.contents.chunks, system.contents.manifests))


def test_without_a_fault_two_go_together_and_one_by_itself() -> None:
    faults = Faults({})
    run_twins(CASES["inline"], faults, _bundle)
    calls = [faults.calls.count(name) for name in ("files.claim_new", "chunks.store_whole", "files.finish_all")]
    assert calls == [1, 1, 1]
    assert (faults.calls.count("files.claim"), faults.calls.count("chunks.put")) == (4, 0)


@pytest.mark.parametrize("way", AT_ONCE)
def test_any_call_may_fail(case: Case, way: Way) -> None:
    assert every_call(case, lambda number: Faults({number: way}), _bundle) > FEWEST_CALLS


@pytest.mark.parametrize("port", ["files", "contents", "chunks"])
def test_any_port_may_be_away_for_longer_than_a_lease(case: Case, port: str) -> None:
    def away(number: int) -> Faults:
        return Faults({number: Way.AWAY}, port=port, away_seconds=AWAY_SECONDS)

    assert every_call(case, away, _bundle)


def test_any_request_of_a_worker_that_died_may_arrive_at_a_later_call() -> None:
    draw = random.Random(1)
    for number in range(1, CALLS_AT_MOST):
        for later in (1, 2, 3, draw.randrange(4, 20)):
            faults = Faults({number: Way.ARRIVES_LATE}, late_calls=later)
            run_twins(CASES["inline"], faults, _bundle)
        if not faults.all_met:
            assert number > FEWEST_CALLS
            return
    raise AssertionError("the story has too many calls")
