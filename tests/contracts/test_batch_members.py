"""The suite of `Members`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gridhaul.transfer.batches import Group, StoredMember
from gridhaul.transfer.model import Delivery, Failure, File, NewFile, Queue, RecordId
from gridhaul.transfer.ports.batches import DueDelivery, DueMembers
from gridhaul.transfer.states import (
    DELIVERABLE,
    DELIVERY_MOVES,
    FILE_MOVES,
    Action,
    DeliveryState,
    FileState,
)
from tests.contracts.ports import (
    A_BATCH,
    SHA256,
    Ports,
    claimed,
    destination,
    eventually,
    from_path,
    new_file,
    new_member,
    new_members_delivery,
    registered,
)

ANOTHER_BATCH = RecordId("d" * 24)
UNKNOWN = RecordId("e" * 24)
MISSING = Failure(code="source_missing", detail="There is no such file.")


async def _insert(ports: Ports, *new: NewFile) -> None:
    assert not any(await ports.members.insert(new))


async def _due(ports: Ports, queue: Queue = Queue.SMALL, *, limit: int = 100) -> DueMembers:
    return await ports.members.due(A_BATCH, queue, limit=limit)


async def _due_files(ports: Ports, queue: Queue = Queue.SMALL, *, limit: int = 100) -> Sequence[File]:
    due = await _due(ports, queue, limit=limit)
    assert not due.deliveries
    return due.files


async def _due_deliveries(ports: Ports) -> Sequence[DueDelivery]:
    return (await _due(ports)).deliveries


def _only(*deliveries: Delivery) -> DueMembers:
    queued = [DueDelivery(id=one.id, length=one.length, state=DeliveryState.QUEUED) for one in deliveries]
    return DueMembers(deliveries=queued)


async def _nothing_is_due(ports: Ports, queue: Queue = Queue.SMALL) -> bool:
    due = await _due(ports, queue)
    return not due.deliveries and not due.files


async def _member(ports: Ports, name: str, *, length: int = 5, deliver: bool = False) -> File:
    """Register a member and return it."""
    to = [destination(object_name=name)] if deliver else []
    await _insert(ports, new_member(name, length=length, deliver_to=to))
    found = await _due_files(ports, Queue.LARGE if length > 100 else Queue.SMALL)
    (file,) = [file for file in found if file.name == name]
    return file


async def _ended(ports: Ports, name: str, state: FileState, *, deliver: bool = False, length: int = 5) -> File:
    """Register a member, and end its first attempt in the state."""
    file = await claimed(ports, await _member(ports, name, deliver=deliver, length=length))
    error = MISSING if state is FileState.FAILED else None
    await ports.files.finish(file.lease, state, sha256=SHA256, error=error)
    return await _file(ports, file)


async def _file(ports: Ports, file: File) -> File:
    found = await ports.files.get(file.id)
    assert found is not None
    return found


async def _delivery(ports: Ports, name: str, *, queue: Queue = Queue.SMALL) -> Delivery:
    delivery, _ = await ports.deliveries.open(new_members_delivery(name, queue=queue))
    return delivery


async def _claimed_delivery(ports: Ports, delivery: Delivery) -> Delivery:
    taken = await ports.deliveries.claim(
        delivery.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    return taken


def _seconds_from_now(at: datetime | None) -> float:
    assert at is not None
    return (at - datetime.now(UTC)).total_seconds()


async def test_inserted_files_have_what_was_asked_for_and_are_due(ports: Ports) -> None:
    new = new_member("dir/é \x7f😀.h5", length=7, deliver_to=[destination(), destination("mirror")])
    await _insert(ports, new)
    (file,) = await _due_files(ports)
    alone = await registered(ports, replace(new_file(), batch_id=ANOTHER_BATCH))
    for name in ("owner", "name", "length", "origin", "queue", "deliver_to", "batch_id"):
        assert getattr(file, name) == getattr(new, name)
    same: dict[str, Any] = {"id": alone.id, "created_at": alone.created_at, "updated_at": alone.updated_at}
    same |= {"changed_at": alone.changed_at, "next_attempt_at": alone.next_attempt_at}
    same |= {"name": alone.name, "origin": alone.origin}
    same |= {"length": alone.length, "deliver_to": (), "batch_id": ANOTHER_BATCH}
    assert replace(file, **same) == alone
    (event,) = (await _file(ports, file)).history
    assert (event.state, event.attempt, event.revision, event.code) == ("REGISTERED", 0, 1, None)


async def test_path_and_name_are_registered_once_in_a_batch(ports: Ports) -> None:
    await _insert(ports, new_member("a"), new_member("b"))
    same_path, same_name = from_path(new_member("c"), path="/srv/a"), from_path(new_member("b"), path="/srv/other")
    again, new = new_member("a"), new_member("d")
    assert list(await ports.members.insert([again, same_path, new, same_name])) == [again, same_path, None, same_name]
    assert [file.name for file in await _due_files(ports)] == ["a", "b", "d"]


async def test_two_of_one_name_in_one_write_are_registered_once(ports: Ports) -> None:
    second = from_path(new_member("a"), path="/srv/other")
    assert list(await ports.members.insert([new_member("a"), second])) == [None, second]


async def test_path_of_another_batch_or_of_none_can_be_registered(ports: Ports) -> None:
    await registered(ports, new_file(name="a"))
    await _insert(ports, new_member("a"), new_member("a", batch_id=ANOTHER_BATCH))


async def test_registered_paths_are_those_of_the_batch(ports: Ports) -> None:
    await _insert(ports, new_member("a"), new_member("b"), new_member("c", batch_id=ANOTHER_BATCH))
    asked = ["/srv/a", "/srv/b", "/srv/c", "/srv/d"]
    assert await ports.members.registered_paths(A_BATCH, asked) == {"/srv/a", "/srv/b"}
    assert await ports.members.registered_paths(A_BATCH, []) == frozenset()


async def test_due_members_are_those_of_batch_and_queue_up_to_the_limit(ports: Ports) -> None:
    small, large = [new_member(name) for name in "abc"], new_member("large", length=1000)
    await _insert(ports, *small, large, new_member("a", batch_id=ANOTHER_BATCH))
    assert {file.name for file in await _due_files(ports)} == {"a", "b", "c"}
    assert len(await _due_files(ports, limit=2)) == 2
    assert [file.name for file in await _due_files(ports, Queue.LARGE)] == ["large"]
    assert await _nothing_is_due(ports, Queue.MAINTENANCE)
    unknown = await ports.members.due(UNKNOWN, Queue.SMALL, limit=9)
    assert not unknown.deliveries
    assert not unknown.files


async def test_member_that_is_leased_or_waits_or_is_at_rest_is_not_due(ports: Ports) -> None:
    leased = await claimed(ports, await _member(ports, "leased"))
    waiting = await claimed(ports, await _member(ports, "waiting"))
    await ports.files.release(waiting.lease, FileState.REGISTERED, delay_seconds=60)
    await ports.files.move((await _member(ports, "paused")).id, FILE_MOVES[Action.PAUSE])
    await _ended(ports, "stored", FileState.STORED)
    await _ended(ports, "failed", FileState.FAILED)
    assert await _nothing_is_due(ports)
    await ports.files.release(leased.lease, FileState.REGISTERED, delay_seconds=0)
    assert [file.id for file in await eventually(lambda: _due_files(ports))] == [leased.id]


async def test_member_is_due_again_when_its_lease_ends(short_leases: Ports) -> None:
    file = await _member(short_leases, "a")
    await claimed(short_leases, file)
    assert await _nothing_is_due(short_leases)
    assert [one.id for one in await eventually(lambda: _due_files(short_leases))] == [file.id]


async def test_deliveries_are_due_before_files(ports: Ports) -> None:
    file, first, second = await _member(ports, "a"), await _delivery(ports, "a"), await _delivery(ports, "b")
    await _delivery(ports, "c", queue=Queue.LARGE)
    assert await _due(ports) == _only(first, second)
    assert await _due(ports, limit=1) == _only(first)
    for delivery in (first, second):
        await _claimed_delivery(ports, delivery)
    assert [one.id for one in await _due_files(ports)] == [file.id]


async def test_member_that_waited_longest_is_due_first(ports: Ports) -> None:
    for name in "abc":
        await _member(ports, name)
    a, b, c = await _due_files(ports)
    for file, delay_seconds in ((a, -5), (b, -50), (c, -500)):
        taken = await claimed(ports, file)
        await ports.files.release(taken.lease, FileState.REGISTERED, delay_seconds=delay_seconds)
    assert [file.name for file in await _due_files(ports)] == ["c", "b", "a"]


async def test_stored_file_that_owes_deliveries_is_due(ports: Ports) -> None:
    file = await _ended(ports, "a", FileState.STORED, deliver=True)
    assert [one.id for one in await eventually(lambda: _due_files(ports))] == [file.id]
    await ports.files.deliveries_made({file.id: 1})
    assert await _nothing_is_due(ports)


async def test_nothing_will_be_due_of_members_at_rest(ports: Ports) -> None:
    assert await ports.members.next_due(A_BATCH, Queue.SMALL) is None
    await _ended(ports, "stored", FileState.STORED)
    await _member(ports, "large", length=1000)
    await ports.members.insert([new_member("other", batch_id=ANOTHER_BATCH)])
    assert await ports.members.next_due(A_BATCH, Queue.SMALL) is None


async def test_next_member_is_due_when_the_first_lease_ends(ports: Ports) -> None:
    await claimed(ports, await _member(ports, "a"))
    assert 50 < _seconds_from_now(await ports.members.next_due(A_BATCH, Queue.SMALL)) <= 60
    assert await ports.members.next_due(A_BATCH, Queue.LARGE) is None
    waiting = await claimed(ports, await _member(ports, "b"))
    await ports.files.release(waiting.lease, FileState.REGISTERED, delay_seconds=30)
    assert 20 < _seconds_from_now(await ports.members.next_due(A_BATCH, Queue.SMALL)) <= 30


async def test_next_delivery_counts_as_a_file_does(ports: Ports) -> None:
    await claimed(ports, await _member(ports, "a"))
    delivery = await _claimed_delivery(ports, await _delivery(ports, "a"))
    await ports.deliveries.release(delivery.lease, DeliveryState.QUEUED, delay_seconds=10)
    assert 0 < _seconds_from_now(await ports.members.next_due(A_BATCH, Queue.SMALL)) <= 10


async def test_member_that_has_become_due_meanwhile_is_the_next_one(ports: Ports) -> None:
    """A worker gives the member back right after another one has found nothing due, and before that one rests."""
    await claimed(ports, await _member(ports, "leased"))
    file = await claimed(ports, await _member(ports, "given-back"))
    await ports.files.release(file.lease, FileState.REGISTERED, delay_seconds=0)
    assert _seconds_from_now(await ports.members.next_due(A_BATCH, Queue.SMALL)) < 1


async def test_batch_without_members_or_with_members_that_are_over_has_nothing_open(ports: Ports) -> None:
    assert not await ports.members.any_open(A_BATCH)
    await ports.members.insert([new_member("a", batch_id=ANOTHER_BATCH)])
    for state in (FileState.STORED, FileState.FAILED, FileState.CANCELLED):
        await _ended(ports, state, state)
    delivery = await _claimed_delivery(ports, await _delivery(ports, "a"))
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, leftovers=("temporary",))
    assert not await ports.members.any_open(A_BATCH)


async def test_file_is_open_until_it_is_stored_and_its_deliveries_are_made_and_over(ports: Ports) -> None:
    file = await claimed(ports, await _member(ports, "a", deliver=True))
    assert await ports.members.any_open(A_BATCH)
    await ports.files.finish(file.lease, FileState.STORED, sha256=SHA256)
    assert await ports.members.any_open(A_BATCH)
    delivery = await _delivery(ports, "a")
    await ports.files.deliveries_made({file.id: 1})
    assert await ports.members.any_open(A_BATCH)
    taken = await _claimed_delivery(ports, delivery)
    await ports.deliveries.finish(taken.lease, DeliveryState.DELIVERED)
    assert not await ports.members.any_open(A_BATCH)


async def test_paused_members_are_open(ports: Ports) -> None:
    file = await _member(ports, "a")
    await ports.files.move(file.id, FILE_MOVES[Action.PAUSE])
    assert await ports.members.any_open(A_BATCH)
    await ports.files.move(file.id, FILE_MOVES[Action.CANCEL])
    await ports.deliveries.move((await _delivery(ports, "a")).id, DELIVERY_MOVES[Action.PAUSE])
    assert await ports.members.any_open(A_BATCH)


async def test_delivery_is_deliverable_until_it_is_paused_or_over(ports: Ports) -> None:
    await ports.deliveries.open(new_members_delivery("a", batch_id=ANOTHER_BATCH))
    paused, committing = await _delivery(ports, "a"), await _claimed_delivery(ports, await _delivery(ports, "b"))
    assert await ports.members.any_deliverable(A_BATCH)
    await ports.deliveries.move(paused.id, DELIVERY_MOVES[Action.PAUSE])
    await ports.deliveries.renew(committing.lease, state=DeliveryState.COMMITTING)
    assert await ports.members.any_deliverable(A_BATCH)
    await ports.deliveries.finish(committing.lease, DeliveryState.DELIVERED)
    assert not await ports.members.any_deliverable(A_BATCH)


async def test_due_delivery_tells_its_state(short_leases: Ports) -> None:
    delivery = await _claimed_delivery(short_leases, await _delivery(short_leases, "a"))
    await short_leases.deliveries.renew(delivery.lease, state=DeliveryState.COMMITTING)
    due = await eventually(lambda: _due_deliveries(short_leases))
    assert [(one.id, one.state) for one in due] == [(delivery.id, DeliveryState.COMMITTING)]


async def test_file_that_is_being_deleted_is_not_open(ports: Ports) -> None:
    file = await _ended(ports, "a", FileState.STORED)
    deleting = await ports.files.request_delete(file.id, deliveries_asked=0)
    assert deleting is not None
    assert deleting.state is FileState.DELETING
    assert not await ports.members.any_open(A_BATCH)


async def _follow(ports: Ports, action: Action, *, limit: int = 100) -> int:
    return await ports.members.follow(A_BATCH, action, who="olga", limit=limit)


@pytest.mark.parametrize(
    ("action", "file_state", "delivery_state"),
    [
        (Action.PAUSE, FileState.PAUSED, DeliveryState.PAUSED),
        (Action.CANCEL, FileState.CANCELLED, DeliveryState.CANCELLED),
    ],
)
async def test_members_follow_a_stop_also_while_a_worker_holds_them(
    ports: Ports, action: Action, file_state: FileState, delivery_state: DeliveryState
) -> None:
    held, waiting = await claimed(ports, await _member(ports, "held")), await _member(ports, "waiting")
    streaming = await _claimed_delivery(ports, await _delivery(ports, "held"))
    stored = await _ended(ports, "stored", FileState.STORED)
    await ports.members.insert([new_member("other", batch_id=ANOTHER_BATCH)])
    assert await _follow(ports, action) == 3
    assert await _follow(ports, action) == 0
    assert [(await _file(ports, file)).state for file in (held, waiting, stored)] == [
        file_state,
        file_state,
        FileState.STORED,
    ]
    delivery = await ports.deliveries.get(streaming.id)
    assert delivery is not None
    assert delivery.state is delivery_state
    assert (await _file(ports, held)).history[-1].who == "olga"
    assert await _nothing_is_due(ports)
    assert (await ports.members.due(ANOTHER_BATCH, Queue.SMALL, limit=9)).files


async def test_members_follow_a_resume_and_are_due(ports: Ports) -> None:
    file, delivery = await _member(ports, "a"), await _delivery(ports, "a")
    assert await _follow(ports, Action.PAUSE) == 2
    assert await _follow(ports, Action.RESUME) == 2
    assert await _due(ports) == _only(delivery)
    await _claimed_delivery(ports, delivery)
    assert [one.id for one in await _due_files(ports)] == [file.id]


async def test_deliveries_follow_a_retry_and_files_are_left_to_a_look_at_their_source(ports: Ports) -> None:
    failed = await _ended(ports, "failed", FileState.FAILED)
    delivery, delivered = [await _claimed_delivery(ports, await _delivery(ports, name)) for name in "ab"]
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED)
    await ports.deliveries.finish(delivered.lease, DeliveryState.DELIVERED)
    assert await _follow(ports, Action.RETRY) == 1
    assert await _due(ports) == _only(delivery)
    assert (await _file(ports, failed)).state is FileState.FAILED


async def test_cancelled_deliveries_are_queued_again_and_failed_ones_stay(ports: Ports) -> None:
    failed = await _claimed_delivery(ports, await _delivery(ports, "failed"))
    await ports.deliveries.finish(failed.lease, DeliveryState.FAILED)
    cancelled = [await _delivery(ports, name) for name in "ab"]
    for delivery in cancelled:
        await ports.deliveries.move(delivery.id, DELIVERY_MOVES[Action.CANCEL])
    retried = [await ports.members.retry_cancelled(A_BATCH, limit=limit) for limit in (1, 9, 9)]
    assert retried == [1, 1, 0]
    assert {one.id for one in (await _due(ports)).deliveries} == {delivery.id for delivery in cancelled}


async def test_no_more_members_follow_at_once_than_the_limit_of_each_kind(ports: Ports) -> None:
    for name in "abc":
        await _member(ports, name)
    for name in "ab":
        await _delivery(ports, name)
    assert [await _follow(ports, Action.PAUSE, limit=2) for _ in range(3)] == [4, 1, 0]


async def test_failed_files_are_listed_newest_first_page_by_page(ports: Ports) -> None:
    failed = [await _ended(ports, name, FileState.FAILED) for name in "ab"]
    cancelled = await _ended(ports, "c", FileState.CANCELLED)
    await _ended(ports, "d", FileState.STORED)
    page = await ports.members.failed_files(A_BATCH, after=None, limit=2)
    assert [file.id for file in page] == [cancelled.id, failed[1].id]
    assert page[1].error == MISSING
    page = await ports.members.failed_files(A_BATCH, after=page[-1].id, limit=2)
    assert [file.id for file in page] == [failed[0].id]
    assert not await ports.members.failed_files(A_BATCH, after=page[-1].id, limit=2)
    assert not await ports.members.failed_files(UNKNOWN, after=None, limit=2)


async def test_failed_files_are_queued_again_and_others_are_left(ports: Ports) -> None:
    failed, stored = await _ended(ports, "a", FileState.FAILED), await _ended(ports, "b", FileState.STORED)
    assert await ports.members.retry_unchanged([failed.id, stored.id, UNKNOWN]) == 1
    assert await ports.members.retry_unchanged([failed.id]) == 0
    assert await ports.members.retry_unchanged([]) == 0
    (file,) = await _due_files(ports)
    assert (file.id, file.state, file.error, file.fruitless_attempts) == (failed.id, FileState.REGISTERED, None, 0)


async def test_members_are_counted_by_state_with_their_bytes_and_failures_by_code(ports: Ports) -> None:
    await _ended(ports, "a", FileState.FAILED)
    await _ended(ports, "b", FileState.STORED)
    await _ended(ports, "c", FileState.STORED, length=2**40)
    await ports.members.insert([new_member("a", batch_id=ANOTHER_BATCH)])
    delivery = await _claimed_delivery(ports, await _delivery(ports, "b"))
    refused = Failure(code="target_refused", detail="No.")
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, error=refused)
    await _delivery(ports, "c")
    counts = await ports.members.counts(A_BATCH)
    assert counts.files == {"FAILED": Group(count=1, bytes=5), "STORED": Group(count=2, bytes=5 + 2**40)}
    assert counts.deliveries == {"FAILED": Group(count=1, bytes=5), "QUEUED": Group(count=1, bytes=5)}
    assert counts.failures == {"source_missing": 1, "target_refused": 1}
    assert abs(datetime.now(UTC) - counts.counted_at) < timedelta(minutes=1)


async def test_batch_without_members_counts_nothing(ports: Ports) -> None:
    counts = await ports.members.counts(UNKNOWN)
    assert (counts.files, counts.deliveries, counts.failures) == ({}, {}, {})


async def test_stored_files_come_in_the_byte_order_of_their_names(ports: Ports) -> None:
    names = ["a", "a b", "a.b", "a/b", "aB", "ab", "z", "é", "Ω", "\uffff", "😀"]
    for name in reversed(names):
        await _ended(ports, name, FileState.STORED, length=len(name))
    await _ended(ports, "failed", FileState.FAILED)
    expected = [StoredMember(name=name, length=len(name), sha256=SHA256) for name in sorted(names, key=str.encode)]
    assert [member async for member in ports.members.stored(A_BATCH)] == expected
    assert not [member async for member in ports.members.stored(UNKNOWN)]
