"""The suite of `RecentChanges` and `Replays`: the changes of files, deliveries and batches in their order."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from gridhaul.transfer.batches import BATCH_MOVES, BatchState
from gridhaul.transfer.changes import OVERLAP, Change, Kind, Position, Record
from gridhaul.transfer.model import Failure, RecordId
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, FILE_MOVES, Action, DeliveryState, FileState
from tests.contracts.ports import (
    Ports,
    claimed,
    destination,
    eventually,
    new_batch,
    new_delivery,
    new_file,
    new_member,
    registered,
)
from tests.contracts.test_uploads import new_upload

FAILURE = Failure(code="target_unavailable", detail="It does not answer.")


async def _start(ports: Ports) -> Position:
    """Return a position before all changes of the test."""
    return Position.of(await ports.changes.horizon() - OVERLAP)


async def _since(
    ports: Ports, after: Position, owners: Sequence[str] | None = None
) -> list[tuple[Kind, RecordId, int]]:
    found = await ports.changes.since(after, owners=owners, limit=100)
    assert [one.position for one in found] == sorted(one.position for one in found)
    return [(one.kind, one.record_id, one.revision) for one in found]


async def _one_of_each(ports: Ports, owner: str = "operator") -> list[Record]:
    file = await registered(ports, replace(new_file(), owner=owner))
    wanted = replace(new_delivery(destination(), file_id=file.id), owner=owner)
    delivery, _ = await ports.deliveries.open(wanted)
    batch, _ = await ports.batches.register(new_batch(owner=owner))
    return [file, delivery, batch]


def _names(records: Sequence[Record]) -> set[tuple[Kind, RecordId, int]]:
    return {(Kind.of(one), one.id, one.revision) for one in records}


async def test_new_records_have_changed_when_they_were_made(ports: Ports) -> None:
    before = await _start(ports)
    made = await _one_of_each(ports)
    assert all(one.changed_at == one.created_at for one in made)
    assert {*await _since(ports, before)} == _names(made)


async def test_registered_members_have_changed(ports: Ports) -> None:
    before = await _start(ports)
    new = [new_member(f"{n}") for n in range(3)]
    assert not any(await ports.members.insert(new))
    found = (await ports.changes.page(before, owner=None, limit=10)).records
    assert sorted(one.name for one in found if Kind.of(one) is Kind.FILE) == ["0", "1", "2"]  # type: ignore[union-attr]
    assert all(one.revision == 1 and one.changed_at == one.created_at for one in found)


async def test_each_move_changes_its_record_and_no_other_one(ports: Ports) -> None:
    before = await _start(ports)
    file, delivery, batch = await _one_of_each(ports)
    await ports.files.move(file.id, FILE_MOVES[Action.PAUSE])
    await ports.deliveries.move(delivery.id, DELIVERY_MOVES[Action.PAUSE])
    await ports.batches.move(batch.id, BATCH_MOVES[Action.PAUSE])
    changed = {(Kind.FILE, file.id, 2), (Kind.DELIVERY, delivery.id, 2), (Kind.BATCH, batch.id, 2)}
    assert {*await _since(ports, before)} == changed


async def test_progress_changes_nothing(ports: Ports) -> None:
    before = await _start(ports)
    file = await claimed(ports, await registered(ports))
    seen = await _since(ports, before)
    await ports.files.renew(file.lease, stored_bytes=3, rate=1.0)
    found = await ports.files.get(file.id)
    assert found is not None
    assert (found.stored_bytes, found.changed_at) == (3, file.changed_at)
    assert await _since(ports, before) == seen


async def test_error_of_a_cleaning_changes_a_delivery_once(ports: Ports) -> None:
    await ports.deliveries.open(new_delivery(destination()))
    delivery_id = new_delivery(destination()).id
    taken = await ports.deliveries.claim(
        delivery_id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    await ports.deliveries.finish(taken.lease, DeliveryState.FAILED, error=FAILURE, leftovers=("part",))
    revisions = []
    outcomes: tuple[dict[str, Any], ...] = ({"cleaning_error": FAILURE},) * 2 + ({"cleaning_error": None},)
    for changes in outcomes:
        cleaning = await _claimed_for_cleaning(ports, delivery_id)
        await ports.deliveries.release(cleaning.lease, cleaning.state, delay_seconds=0, **changes)
        found = await ports.deliveries.get(delivery_id)
        assert found is not None
        revisions.append((found.revision, found.history[-1].code))
    assert revisions == [(4, FAILURE.code), (4, FAILURE.code), (5, None)]


async def _claimed_for_cleaning(ports: Ports, delivery_id: RecordId) -> Any:
    return await eventually(lambda: ports.deliveries.claim_cleaning(delivery_id, holder="worker"))


async def test_error_of_a_batch_changes_it_once(ports: Ports) -> None:
    batch, _ = await ports.batches.register(new_batch())
    revisions = []
    for _ in range(2):
        taken = await ports.batches.claim_in_its_state(batch.id, holder="worker")
        assert taken is not None
        await ports.batches.release(taken.lease, BatchState.REGISTERING, delay_seconds=0, error=FAILURE)
        found = await ports.batches.get(batch.id)
        assert found is not None
        revisions.append((found.revision, found.history[-1].code))
    assert revisions == [(2, FAILURE.code), (2, FAILURE.code)]


async def test_pages_have_each_change_once_also_of_records_with_one_time(ports: Ports) -> None:
    before = await _start(ports)
    await ports.members.insert([new_member(f"{n}") for n in range(7)])
    made = await _one_of_each(ports)
    at, pages = before, list[int]()
    while len(pages) < 4:
        page = await ports.changes.page(at, owner=None, limit=3)
        pages.append(len(page.records))
        made += [one for one in page.records if one.id not in {other.id for other in made}]
        if page.next_after is None:
            break
        assert page.next_after > at
        at = page.next_after
    assert pages == [3, 3, 3, 1]
    assert {*await _since(ports, before)} == _names(made)
    keys, at = list[Change](), before
    while some := await ports.changes.since(at, owners=None, limit=4):
        keys += some
        at = some[-1].position
    assert [(one.kind, one.record_id, one.revision) for one in keys] == await _since(ports, before)


async def test_changes_of_some_owners_are_only_theirs(ports: Ports) -> None:
    before = await _start(ports)
    made = {owner: await _one_of_each(ports, owner) for owner in ("alice", "bob", "carol")}
    for owner in made:
        page = await ports.changes.page(before, owner=owner, limit=10)
        assert _names(page.records) == _names(made[owner])
    assert {*await _since(ports, before, ["alice", "carol"])} == _names([*made["alice"], *made["carol"]])
    assert not await _since(ports, before, [])


async def test_changes_before_the_position_are_left_out(ports: Ports) -> None:
    file = await registered(ports)
    change = Change.of(file)
    assert change is not None
    assert not await _since(ports, change.position)
    just_before = Position.of(change.changed_at - timedelta(milliseconds=1), RecordId("f" * 24))
    assert await _since(ports, just_before) == [(Kind.FILE, file.id, 1)]


async def test_records_are_read_without_their_history(ports: Ports) -> None:
    file, delivery, batch = await _one_of_each(ports)
    ids = {Kind.FILE: [file.id], Kind.DELIVERY: [delivery.id], Kind.BATCH: []}
    found = await ports.changes.read(ids)
    assert _names(found) == _names([file, delivery])
    assert all(one.history == () for one in found)
    paged = (await ports.changes.page(await _start(ports), owner=None, limit=10)).records
    assert _names(paged) == _names([file, delivery, batch])
    assert all(one.history == () for one in paged)


async def test_horizon_is_the_time_of_the_writes(ports: Ports) -> None:
    before = await ports.changes.begin()
    file = await registered(ports)
    after = await ports.changes.horizon()
    assert file.changed_at is not None
    second = timedelta(seconds=1)  # the twin's clock is finer, and a replica set tells times in seconds
    assert before - second <= file.changed_at <= after + second


async def test_progress_is_that_of_records_that_are_worked_on(ports: Ports) -> None:
    await registered(ports)
    storing = await claimed(ports, await registered(ports))
    await ports.files.renew(storing.lease, stored_bytes=3, checked_bytes=1)
    other = await claimed(ports, await registered(ports, replace(new_file(), owner="bob")))
    await ports.deliveries.open(new_delivery(destination("mirror")))
    delivery, _ = await ports.deliveries.open(new_delivery(destination()))
    taken = await ports.deliveries.claim(
        delivery.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    await ports.deliveries.renew(taken.lease, sent_bytes=2)
    upload, _ = await ports.uploads_living(86400.0).create(new_upload())
    found = await ports.changes.progress(owners=None, limit=10)
    moved = {(one.kind, one.record_id, one.moved_bytes) for one in found}
    theirs = {(Kind.FILE, storing.id, 4), (Kind.DELIVERY, delivery.id, 2), (Kind.FILE, upload.id, 0)}
    assert moved == theirs | {(Kind.FILE, other.id, 0)}
    found = await ports.changes.progress(owners=["operator", upload.owner], limit=10)
    assert {(one.kind, one.record_id, one.moved_bytes) for one in found} == theirs
    assert not await ports.changes.progress(owners=["nobody"], limit=10)
    assert {one.state for one in await ports.changes.read({Kind.FILE: [storing.id]})} == {FileState.STORING}
