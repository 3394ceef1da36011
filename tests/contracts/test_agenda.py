"""The suite of `Agenda`."""

import time

from gridhaul.transfer.model import RecordId, TaskName
from gridhaul.transfer.states import FileState
from tests.contracts.ports import (
    SHORT_LEASE_SECONDS,
    Ports,
    claimed,
    destination,
    eventually,
    new_delivery,
    new_file,
    registered,
    stored,
)


async def _released(ports: Ports, *, delay_seconds: float = 0) -> RecordId:
    """A file given back after its first attempt."""
    file = await claimed(ports, await registered(ports))
    await ports.files.release(file.lease, FileState.REGISTERED, delay_seconds=delay_seconds)
    return file.id


async def _ids_due(ports: Ports, limit: int = 100) -> list[RecordId]:
    return [hint.record_id for hint in await ports.agenda.due(limit)]


async def test_new_record_is_not_due_for_a_minute_but_is_overlooked(ports: Ports) -> None:
    file = await registered(ports, new_file(length=2**40))
    assert not await ports.agenda.due(10)
    (hint,) = await ports.agenda.overlooked(10)
    assert (hint.task, hint.record_id, hint.length) == (TaskName.UPLOAD_FILE, file.id, 2**40)
    assert await ports.agenda.overlooked(10) == [hint]
    assert not await ports.agenda.due(10)


async def test_leased_record_is_neither_due_nor_overlooked(ports: Ports) -> None:
    await claimed(ports, await registered(ports))
    assert not await ports.agenda.due(10)
    assert not await ports.agenda.overlooked(10)
    assert await ports.agenda.waiting(10) == 0


async def test_record_is_due_at_once_when_its_lease_ends(short_leases: Ports) -> None:
    file = await registered(short_leases)
    claimed_at = time.monotonic()
    await claimed(short_leases, file)
    assert await eventually(lambda: _ids_due(short_leases)) == [file.id]
    assert time.monotonic() - claimed_at >= SHORT_LEASE_SECONDS - 0.01


async def test_hint_given_is_not_given_again_soon(ports: Ports) -> None:
    await _released(ports)
    assert len(await eventually(lambda: _ids_due(ports))) == 1
    assert not await ports.agenda.due(10)


async def test_released_record_is_due_after_its_delay(ports: Ports) -> None:
    released_at = time.monotonic()
    file_id = await _released(ports, delay_seconds=0.2)
    assert await eventually(lambda: _ids_due(ports)) == [file_id]
    assert time.monotonic() - released_at >= 0.19


async def test_record_waiting_for_its_delay_is_neither_overlooked_nor_counted(ports: Ports) -> None:
    await _released(ports, delay_seconds=60)
    assert not await ports.agenda.overlooked(10)
    assert await ports.agenda.waiting(10) == 0


async def test_waiting_counts_all_kinds_up_to_the_limit(ports: Ports) -> None:
    for _ in range(3):
        await registered(ports)
    await ports.deliveries.open(new_delivery(destination()))
    await ports.files.request_delete((await stored(ports)).id)
    assert await ports.agenda.waiting(100) == 5
    assert await ports.agenda.waiting(2) == 2


async def test_no_more_hints_than_the_limit_and_the_rest_next_time(ports: Ports) -> None:
    ids = [await _released(ports) for _ in range(5)]
    first = await eventually(lambda: _ids_due(ports, limit=3))
    rest = await _ids_due(ports)
    assert len(first) == 3
    assert sorted(first + rest) == ids


async def test_oldest_comes_first(ports: Ports) -> None:
    ids = [await _released(ports, delay_seconds=delay) for delay in (0.15, 0.05, 0.1)]
    await eventually(lambda: _is_waiting(ports, 3))
    assert await _ids_due(ports) == [ids[1], ids[2], ids[0]]


async def test_oldest_comes_first_over_all_kinds(ports: Ports) -> None:
    delivery, _ = await ports.deliveries.open(new_delivery(destination()))
    await _released(ports, delay_seconds=0.1)
    await eventually(lambda: _is_waiting(ports, 2))
    (hint,) = await ports.agenda.overlooked(1)
    assert hint.record_id == delivery.id


async def test_finished_record_is_neither_due_nor_overlooked(ports: Ports) -> None:
    await stored(ports)
    failed = await claimed(ports, await registered(ports))
    await ports.files.finish(failed.lease, FileState.FAILED)
    assert not await ports.agenda.due(10)
    assert not await ports.agenda.overlooked(10)
    assert await ports.agenda.waiting(10) == 0


async def test_stored_file_whose_delivery_was_not_made_is_overlooked(ports: Ports) -> None:
    file = await stored(ports, new_file(deliver_to=destination()))
    assert [hint.record_id for hint in await ports.agenda.overlooked(10)] == [file.id]


async def test_file_to_be_deleted_gives_its_own_task(ports: Ports) -> None:
    file = await stored(ports)
    await ports.files.request_delete(file.id)
    (hint,) = await eventually(lambda: ports.agenda.due(10))
    assert (hint.task, hint.record_id) == (TaskName.DELETE_FILE, file.id)
    (hint,) = await ports.agenda.overlooked(10)
    assert (hint.task, hint.record_id) == (TaskName.DELETE_FILE, file.id)


async def test_delivery_gives_its_own_task_and_length(ports: Ports) -> None:
    delivery, _ = await ports.deliveries.open(new_delivery(destination(), length=77))
    (hint,) = await ports.agenda.overlooked(10)
    assert (hint.task, hint.record_id, hint.length) == (TaskName.FINALIZE_FILE, delivery.id, 77)


async def test_deleted_content_is_to_be_swept_when_nothing_can_come_late_any_more(ports: Ports) -> None:
    file = await registered(ports)
    content_id = ports.contents.new_id()
    await ports.contents.open(
        content_id, file_id=file.id, filename="run.h5", content_type="text/plain", length=9, fence=1
    )
    assert not await ports.agenda.due(10)
    await ports.contents.drop_ref(content_id, file.id)
    (hint,) = await eventually(lambda: ports.agenda.due(10))
    assert (hint.task, hint.record_id, hint.length) == (TaskName.SWEEP_CONTENT, content_id, 9)


async def _is_waiting(ports: Ports, count: int) -> bool:
    return await ports.agenda.waiting(100) == count
