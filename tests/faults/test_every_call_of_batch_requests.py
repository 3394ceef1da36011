"""A batch is deleted, asked for again, or only planned, with every call failing in turn."""

from pathlib import Path

import pytest

from gridhaul.source import bunches
from gridhaul.source.opened import identify_here
from gridhaul.source.roots import Roots
from gridhaul.transfer.batches import (
    BATCH_MOVES,
    CANCEL_AND_DELETE_BATCH,
    DELETE_BATCH,
    START_BATCH,
    Batch,
    BatchState,
    Position,
)
from gridhaul.transfer.model import (
    IfExists,
    NewDelivery,
    NewFile,
    Queue,
    RecordId,
)
from gridhaul.transfer.origins import ServerPath
from gridhaul.transfer.skipping import SkipReason
from gridhaul.transfer.states import DELIVERABLE, STORABLE, Action, DeliveryState, FileState
from tests.contracts.bytes_to_store import some_bytes
from tests.contracts.ports import destination
from tests.faults.every_call import every_call
from tests.faults.failing import Faults, Way
from tests.faults.twin_system import LARGE_FILE_BYTES, OWNER, TARGET, Case, TwinSystem

CASE = Case(data=b"", if_exists=IfExists.OVERWRITE)
FOLDER, PREFIX = "run", "2026"
FILES = {"a/empty": b"", "b/large.h5": some_bytes(LARGE_FILE_BYTES + 5)}
BESIDE = some_bytes(11)  # a file of the same account that stays
WAYS = [Way.REFUSED, Way.ANSWER_LOST, Way.WORKER_DIES]
OLD = b"delivered before"


@pytest.fixture(autouse=True)
def _small_bunches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a batch note how far it came after every two files."""
    monkeypatch.setattr(bunches, "BUNCH", 2)


async def _now(system: TwinSystem, batch_id: RecordId) -> Batch:
    batch = await system.batches.get(batch_id)
    assert batch is not None
    return batch


async def _cancelled_and_deleted(system: TwinSystem) -> None:
    """Cancel and delete a batch while its files are worked on. Require that nothing of it stays in the store."""
    batch_id = await _asked_for(system)
    while not system.files.rows:
        await system.go_on()
    beside = await system.prepare_beside("beside", BESIDE)
    await system.go_on()
    moved = await system.batches.move(batch_id, CANCEL_AND_DELETE_BATCH, following=Action.CANCEL)
    assert moved is not None
    await system.rest()
    await _require_deleted(system, batch_id, beside)


async def _delivered_and_deleted(system: TwinSystem) -> None:
    """Delete a batch that is done, and one of its files by itself. Require that nothing of it stays in the store."""
    batch_id = await _asked_for(system)
    beside = await system.prepare_beside("beside", BESIDE)
    await system.rest()
    assert (await _now(system, batch_id)).state is BatchState.DONE
    files = [row.record for row in system.files.rows.values() if row.record.batch_id is not None]
    assert await system.batches.move(batch_id, DELETE_BATCH) is not None
    await system.files.request_delete(files[1].id, deliveries_asked=files[1].deliveries_asked)
    await system.rest()
    await _require_deleted(system, batch_id, beside)
    assert len(system.target.seen) == len(FILES)


async def _asked_for(system: TwinSystem) -> RecordId:
    await system.see_target()
    return await system.prepare_batch(FOLDER, FILES, prefix=PREFIX)


async def _require_deleted(system: TwinSystem, batch_id: RecordId, beside: RecordId) -> None:
    """Require that all of the batch is deleted, that its quota was given back once, and what was delivered is whole."""
    batch = await _now(system, batch_id)
    assert (batch.state, batch.following, batch.error) == (BatchState.DELETED, None, None)
    members = [row.record for row in system.files.rows.values() if row.record.batch_id is not None]
    assert {file.state for file in members} <= {FileState.DELETED}
    ended = {row.record.state for row in system.deliveries.rows.values()}
    assert ended <= {DeliveryState.DELIVERED, DeliveryState.CANCELLED}
    kept = (await system.file(beside)).content_id
    assert (await system.file(beside)).state is FileState.STORED
    assert {*system.contents.rows} == {*system.contents.chunks} == {*system.contents.manifests} == {kept}
    assert not system.undercounted, "the owner's account counted less than the files took"
    assert system.account.used_bytes == len(BESIDE) or system.faults.any_met
    system.target.look()
    assert system.target.seen <= {(f"{PREFIX}/{FOLDER}/{name}", data) for name, data in FILES.items()}
    assert system.target.commits == len(system.target.seen)
    assert not [*system.delivered.rglob(".gridhaul-*.part")]
    assert "internal" not in system.codes, "an attempt ended with an unexpected error"


async def _update(system: TwinSystem) -> None:
    """Ask for a folder again of which some was delivered. Require that only what is new or changed is delivered."""
    await system.see_target()
    names = {"same": b"same", "changed": b"old", "vanished": b"gone"}
    await system.prepare_batch(FOLDER, names, prefix=PREFIX)
    system.batches.rows.clear()
    top = system.outgoing / FOLDER
    for name in names:
        await _delivered_before(system, top / name, f"{PREFIX}/{FOLDER}/{name}")
    (top / "changed").write_bytes(b"another")
    (top / "new").write_bytes(b"new")
    (top / "vanished").unlink()
    batch_id = await system.ask_for((str(top),), prefix=PREFIX, update=True)
    await system.rest()
    batch = await _now(system, batch_id)
    assert (batch.state, batch.unchanged, batch.error) == (BatchState.DONE, 1, None)
    assert batch.counts is not None
    assert batch.counts.skipped == {SkipReason.VANISHED: 1}
    members = [row.record for row in system.files.rows.values() if row.record.batch_id == batch_id]
    assert sorted(file.name for file in members) == [f"{FOLDER}/changed", f"{FOLDER}/new"]
    assert system.target.commits == 2
    arrived = {path.name: path.read_bytes() for path in (system.delivered / PREFIX / FOLDER).iterdir()}
    assert arrived == {"same": OLD, "changed": b"another", "vanished": OLD, "new": b"new"}
    assert "internal" not in system.codes, "an attempt ended with an unexpected error"


async def _delivered_before(system: TwinSystem, path: Path, object_name: str) -> None:
    """Make the records and the object that an earlier delivery of the file left."""
    identity = identify_here(str(path), Roots.any_of(system.settings.roots), max_file_bytes=None)
    new = NewFile(
        owner=OWNER,
        name=path.name,
        content_type="application/x-hdf5",
        length=identity.size,
        origin=ServerPath(path=str(path), identity=identity),
        queue=Queue.SMALL,
    )
    await system.usage.charge(OWNER, new.length)
    made, _ = await system.files.register(new)
    file = await system.files.claim(made.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert file is not None
    await system.files.finish(file.lease, FileState.STORED, sha256="ab" * 32)
    asked = NewDelivery(
        file_id=file.id,
        owner=OWNER,
        destination=destination(TARGET, object_name=object_name),
        length=file.length,
        sha256="ab" * 32,
        queue=Queue.SMALL,
        source_path=file.origin.shown_path,
    )
    made_delivery, _ = await system.deliveries.open(asked)
    delivery = await system.deliveries.claim(
        made_delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert delivery is not None
    await system.deliveries.finish(delivery.lease, DeliveryState.DELIVERED)
    there = system.delivered / object_name
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_bytes(OLD)


async def _planned_and_started(system: TwinSystem) -> None:
    """Plan a batch of two folders with one name in both. Require what the plan says, and that it can be started."""
    batch_id = await _plan(system)
    await system.rest()
    batch = await _now(system, batch_id)
    assert (batch.state, batch.error) == (BatchState.PLANNED, None)
    plan, counts = batch.plan, batch.counts
    assert plan is not None
    assert counts is not None
    assert (plan.files, plan.bytes, plan.quota_free_bytes) == (2, 4, None)
    assert [Path(one.path).name for one in plan.largest] == ["x", "z"]
    existing, rooms = plan.existing or {}, plan.target_free_bytes or {}
    if plan.errors:
        assert {name: error.code for name, error in plan.errors.items()} == {TARGET: "target_unavailable"}
    else:
        assert (existing, [*rooms]) == ({TARGET: 1}, [TARGET])
    assert counts.skipped == {SkipReason.NAME_CLASH: 1}, "what is overwritten is not skipped"
    assert not system.files.rows
    assert not system.planned_names.by_batch
    started = await system.batches.move(batch_id, START_BATCH, position=Position(source=0), excluded=0, unchanged=0)
    assert started is not None
    await system.rest()
    await _require_started(system, batch_id)


async def _plan(system: TwinSystem) -> RecordId:
    await system.see_target()
    await system.prepare_batch(FOLDER, {"a/x": b"abc", "a/z": b"z", "b/x": b"other"}, prefix=PREFIX)
    system.batches.rows.clear()
    there = system.delivered / PREFIX / "z"
    there.parent.mkdir(parents=True)
    there.write_bytes(OLD)
    top = system.outgoing / FOLDER
    return await system.ask_for((f"{top}/a/", f"{top}/b/"), prefix=PREFIX, dry_run=True)


async def _require_started(system: TwinSystem, batch_id: RecordId) -> None:
    batch = await _now(system, batch_id)
    assert (batch.state, batch.error, batch.position) == (BatchState.DONE, None, None)
    assert batch.counts is not None
    assert batch.counts.skipped == {SkipReason.NAME_CLASH: 1}
    assert batch.counts.deliveries[DeliveryState.DELIVERED].count == 2
    arrived = {path.name: path.read_bytes() for path in (system.delivered / PREFIX).iterdir()}
    assert arrived == {"x": b"abc", "z": b"z"}
    assert "internal" not in system.codes, "an attempt ended with an unexpected error"


async def _cancelled_while_planned(system: TwinSystem) -> None:
    """Cancel a batch while it is planned, or right after. Require that nothing of the plan is left behind."""
    batch_id = await _plan(system)
    while not system.faults.calls:
        await system.go_on()
    assert await system.batches.move(batch_id, BATCH_MOVES[Action.CANCEL], following=Action.CANCEL) is not None
    await system.rest()
    batch = await _now(system, batch_id)
    assert (batch.state, batch.following, batch.error) == (BatchState.CANCELLED, None, None)
    assert not system.files.rows
    assert not system.planned_names.by_batch


@pytest.mark.parametrize("way", WAYS)
def test_any_call_may_fail_of_a_batch_that_is_cancelled_and_deleted(way: Way) -> None:
    assert every_call(CASE, lambda number: Faults({number: way}), _cancelled_and_deleted) > 60


@pytest.mark.parametrize("way", WAYS)
def test_any_call_may_fail_of_a_batch_that_is_deleted_beside_one_of_its_files(way: Way) -> None:
    assert every_call(CASE, lambda number: Faults({number: way}), _delivered_and_deleted) > 60


@pytest.mark.parametrize("way", WAYS)
def test_any_call_may_fail_of_a_batch_that_is_asked_for_again(way: Way) -> None:
    assert every_call(CASE, lambda number: Faults({number: way}), _update) > 60


@pytest.mark.parametrize("way", WAYS)
def test_any_call_may_fail_of_a_batch_that_is_planned_and_then_started(way: Way) -> None:
    assert every_call(CASE, lambda number: Faults({number: way}), _planned_and_started) > 60


def test_any_worker_may_die_of_a_batch_that_is_cancelled_while_it_is_planned() -> None:
    assert every_call(CASE, lambda number: Faults({number: Way.WORKER_DIES}), _cancelled_while_planned) > 15
