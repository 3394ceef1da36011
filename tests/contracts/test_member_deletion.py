"""The suite of `MemberDeletion`."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gridhaul.transfer.errors import LeaseLost
from gridhaul.transfer.model import File, Queue, RecordId
from gridhaul.transfer.states import DELIVERY_MOVES, FILE_MOVES, Action, FileState
from tests.contracts.ports import (
    A_BATCH,
    SHA256,
    Ports,
    claimed,
    destination,
    new_member,
    new_members_delivery,
    registered,
    stored,
)

ANOTHER_BATCH = RecordId("d" * 24)
OVER = [FileState.STORED, FileState.FAILED, FileState.CANCELLED]


async def _ended(ports: Ports, name: str, state: FileState = FileState.STORED, *, deliver: bool = False) -> File:
    """Register a member, and end its first attempt in the state."""
    to = [destination(object_name=name)] if deliver else []
    file = await claimed(ports, await registered(ports, new_member(name, deliver_to=to)))
    await ports.files.finish(file.lease, state, sha256=SHA256)
    return await _now(ports, file)


async def _now(ports: Ports, file: File) -> File:
    found = await ports.files.get(file.id)
    assert found is not None
    return found


async def _states(ports: Ports, *files: File) -> list[FileState]:
    return [(await _now(ports, file)).state for file in files]


async def _begin(ports: Ports, *, limit: int = 100) -> tuple[list[RecordId], int]:
    """Begin to delete. Return the ids of the files that are being deleted, and the number of the busy ones."""
    found = await ports.deletion.begin_delete(A_BATCH, limit=limit)
    assert {file.state for file in found.files} <= {FileState.DELETING}
    assert not any(file.history for file in found.files)
    return [file.id for file in found.files], found.busy


async def _deliver(ports: Ports, file: File) -> RecordId:
    """Open a delivery of the member, and return its id."""
    delivery, _ = await ports.deliveries.open(replace(new_members_delivery(file.name), file_id=file.id))
    return delivery.id


async def _deleted(ports: Ports, *files: File) -> None:
    """Delete the members."""
    await _begin(ports)
    assert await ports.deletion.end_delete([await _now(ports, file) for file in files])


async def _page(ports: Ports, *, after: RecordId | None = None, limit: int = 100) -> list[RecordId]:
    page: Sequence[File] = await ports.deletion.deleted(A_BATCH, after=after, limit=limit)
    assert {file.state for file in page} <= {FileState.DELETED}
    return [file.id for file in page]


async def test_files_that_are_over_are_being_deleted_and_others_stay(ports: Ports) -> None:
    over = [await _ended(ports, state, state) for state in OVER]
    waiting = await registered(ports, new_member("waiting"))
    held = await claimed(ports, await registered(ports, new_member("held")))
    paused = await registered(ports, new_member("paused"))
    await ports.files.move(paused.id, FILE_MOVES[Action.PAUSE])
    other = await stored(ports, new_member("a", batch_id=ANOTHER_BATCH))
    assert await _begin(ports) == ([file.id for file in reversed(over)], 0)
    assert await _states(ports, waiting, held, paused, other) == ["REGISTERED", "STORING", "PAUSED", "STORED"]


async def test_files_that_are_being_deleted_are_told_again_until_that_is_ended(ports: Ports) -> None:
    file = await _ended(ports, "a")
    assert await _begin(ports) == ([file.id], 0)
    assert await _begin(ports) == ([file.id], 0)
    assert await ports.deletion.end_delete([await _now(ports, file)])
    assert await _begin(ports) == ([], 0)
    ended = await _now(ports, file)
    assert (ended.state, ended.stored_bytes, ended.used_bytes) == (FileState.DELETED, 0, 0)
    assert [event.state for event in ended.history[-2:]] == ["DELETING", "DELETED"]


async def test_file_with_an_open_delivery_is_busy_until_the_delivery_is_over(ports: Ports) -> None:
    idle, busy = await _ended(ports, "a"), await _ended(ports, "b")
    delivery_id = await _deliver(ports, busy)
    assert await _begin(ports) == ([idle.id], 1)
    assert await _states(ports, busy) == [FileState.STORED]
    await ports.deliveries.move(delivery_id, DELIVERY_MOVES[Action.PAUSE])
    assert await _begin(ports) == ([idle.id], 1)
    await ports.deliveries.move(delivery_id, DELIVERY_MOVES[Action.CANCEL])
    assert await _begin(ports) == ([busy.id, idle.id], 0)


async def test_stored_file_that_still_owes_deliveries_is_deleted_and_is_not_due(ports: Ports) -> None:
    file = await _ended(ports, "a", deliver=True)
    assert file.next_attempt_at is not None
    assert await _begin(ports) == ([file.id], 0)
    assert (await _now(ports, file)).next_attempt_at is None
    assert not (await ports.members.due(A_BATCH, Queue.SMALL, limit=9)).files
    assert not await ports.members.any_open(A_BATCH)


async def test_no_more_files_than_the_limit_are_deleted_at_once(ports: Ports) -> None:
    files = [await _ended(ports, name) for name in "abc"]
    assert await _begin(ports, limit=2) == ([files[2].id, files[1].id], 0)
    assert await _states(ports, *files) == ["STORED", "DELETING", "DELETING"]
    assert await ports.deletion.end_delete([await _now(ports, file) for file in files[1:]])
    assert await _begin(ports, limit=2) == ([files[0].id], 0)


async def test_deletion_that_was_ended_already_is_told(ports: Ports) -> None:
    first, second = await _ended(ports, "a"), await _ended(ports, "b")
    found = await ports.deletion.begin_delete(A_BATCH, limit=9)
    assert await ports.deletion.end_delete([file for file in found.files if file.id == first.id])
    assert not await ports.deletion.end_delete(found.files)
    assert await _states(ports, first, second) == [FileState.DELETED, FileState.DELETED]
    assert await ports.deletion.end_delete([])


async def test_file_whose_own_delete_was_asked_for_is_ended_by_the_batch_and_owes_no_hint(ports: Ports) -> None:
    file = await _ended(ports, "a")
    await ports.files.request_delete(file.id, deliveries_asked=0)
    assert await ports.agenda.unanswered(Queue.MAINTENANCE, 10) == 1
    await _deleted(ports, file)
    assert (await _now(ports, file)).next_attempt_at is None
    assert await ports.agenda.unanswered(Queue.MAINTENANCE, 10) == 0
    assert not await ports.agenda.due(10)


async def test_worker_that_deletes_the_file_by_itself_loses_it_to_the_batch(ports: Ports) -> None:
    """If both ended the delete, both would give back the quota."""
    file = await _ended(ports, "a")
    await ports.files.request_delete(file.id, deliveries_asked=0)
    deleting = frozenset({FileState.DELETING})
    held = await ports.files.claim(file.id, holder="worker", from_states=deleting, to_state=FileState.DELETING)
    assert held is not None
    await _deleted(ports, file)
    with pytest.raises(LeaseLost):
        await ports.files.finish(held.lease, FileState.DELETED, stored_bytes=0)
    assert (await _now(ports, file)).fence != held.fence
    assert not await ports.agenda.due(10)


async def test_deleted_files_are_listed_newest_first_page_by_page(ports: Ports) -> None:
    files = [await _ended(ports, name) for name in "abc"]
    await _deleted(ports, *files)
    await _ended(ports, "d")
    assert await _page(ports, limit=2) == [files[2].id, files[1].id]
    assert await _page(ports, after=files[1].id, limit=2) == [files[0].id]
    assert await _page(ports, after=RecordId("f" * 24)) == [file.id for file in reversed(files)]
    assert not await _page(ports, after=files[0].id)


async def test_batch_without_files_has_nothing_to_delete(ports: Ports) -> None:
    assert await _begin(ports) == ([], 0)
    assert not await _page(ports)
