"""The suite of `Agenda`."""

import time

from gridhaul.transfer.model import Hint, Queue, RecordId, TaskName
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
    """Register, claim and release a file; return its id."""
    file = await claimed(ports, await registered(ports))
    await ports.files.release(file.lease, FileState.REGISTERED, delay_seconds=delay_seconds)
    return file.id


async def _ids_due(ports: Ports, limit: int = 100) -> list[RecordId]:
    return [hint.record_id for hint in await ports.agenda.due(limit)]


async def _overlooked(ports: Ports, *, queue: Queue = Queue.SMALL, seconds: float = 0) -> list[Hint]:
    return list(await ports.agenda.overlooked(queue, 10, seconds=seconds))


async def test_new_record_was_hinted_by_its_maker_and_can_be_overlooked(ports: Ports) -> None:
    file = await registered(ports, new_file(length=2**40))
    assert not await ports.agenda.due(10)
    assert await ports.agenda.unanswered(Queue.LARGE, 10) == 1
    (hint,) = await _overlooked(ports, queue=Queue.LARGE)
    assert (hint.task, hint.record_id, hint.queue) == (TaskName.UPLOAD_FILE, file.id, Queue.LARGE)
    assert not await ports.agenda.due(10)


async def test_what_was_hinted_just_now_is_not_overlooked(ports: Ports) -> None:
    await registered(ports)
    assert not await _overlooked(ports, seconds=60)
    assert len(await eventually(lambda: _overlooked(ports, seconds=0.05))) == 1
    assert not await _overlooked(ports, seconds=60)


async def test_queues_are_counted_and_hinted_apart(ports: Ports) -> None:
    small, large = await registered(ports), await registered(ports, new_file(length=1000))
    assert [hint.record_id for hint in await _overlooked(ports)] == [small.id]
    assert [hint.record_id for hint in await _overlooked(ports, queue=Queue.LARGE)] == [large.id]
    assert await ports.agenda.unanswered(Queue.MAINTENANCE, 10) == 0


async def test_leased_record_is_neither_due_nor_overlooked(ports: Ports) -> None:
    await claimed(ports, await registered(ports))
    assert not await ports.agenda.due(10)
    assert not await _overlooked(ports)
    assert await ports.agenda.unanswered(Queue.SMALL, 10) == 0


async def test_record_is_due_at_once_when_its_lease_ends(short_leases: Ports) -> None:
    file = await registered(short_leases)
    claimed_at = time.monotonic()
    await claimed(short_leases, file)
    assert await eventually(lambda: _ids_due(short_leases)) == [file.id]
    assert time.monotonic() - claimed_at >= SHORT_LEASE_SECONDS - 0.01


async def test_hint_owed_is_given_once(ports: Ports) -> None:
    await _released(ports)
    assert len(await eventually(lambda: _ids_due(ports))) == 1
    assert not await ports.agenda.due(10)
    assert await ports.agenda.unanswered(Queue.SMALL, 10) == 1


async def test_released_record_is_due_after_its_delay(ports: Ports) -> None:
    released_at = time.monotonic()
    file_id = await _released(ports, delay_seconds=0.2)
    assert await eventually(lambda: _ids_due(ports)) == [file_id]
    assert time.monotonic() - released_at >= 0.19


async def test_record_waiting_for_its_delay_is_neither_overlooked_nor_counted(ports: Ports) -> None:
    await _released(ports, delay_seconds=60)
    assert not await _overlooked(ports)
    assert await ports.agenda.unanswered(Queue.SMALL, 10) == 0


async def test_unanswered_counts_all_kinds_up_to_the_limit(ports: Ports) -> None:
    for _ in range(3):
        await registered(ports)
    await ports.deliveries.open(new_delivery(destination()))
    assert await ports.agenda.unanswered(Queue.SMALL, 100) == 4
    assert await ports.agenda.unanswered(Queue.SMALL, 2) == 2


async def test_no_more_hints_than_the_limit_and_the_rest_next_time(ports: Ports) -> None:
    ids = [await _released(ports) for _ in range(5)]
    first = await eventually(lambda: _ids_due(ports, limit=3))
    rest = await _ids_due(ports)
    assert len(first) == 3
    assert sorted(first + rest) == ids


async def test_oldest_comes_first(ports: Ports) -> None:
    started_at = time.monotonic()
    ids = [await _released(ports, delay_seconds=delay) for delay in (0.3, 0.1, 0.2)]
    await eventually(lambda: _later_than(started_at + 0.4))
    assert await _ids_due(ports) == [ids[1], ids[2], ids[0]]


async def test_oldest_comes_first_over_all_kinds(ports: Ports) -> None:
    delivery, _ = await ports.deliveries.open(new_delivery(destination()))
    made_at = time.monotonic()
    await eventually(lambda: _later_than(made_at + 0.01))
    await registered(ports)
    (hint,) = await ports.agenda.overlooked(Queue.SMALL, 1, seconds=0)
    assert hint.record_id == delivery.id


async def test_finished_record_is_neither_due_nor_overlooked(ports: Ports) -> None:
    await stored(ports)
    failed = await claimed(ports, await registered(ports))
    await ports.files.finish(failed.lease, FileState.FAILED)
    assert not await ports.agenda.due(10)
    assert not await _overlooked(ports)
    assert await ports.agenda.unanswered(Queue.SMALL, 10) == 0


async def test_stored_file_whose_delivery_was_not_made_is_hinted_until_it_is(ports: Ports) -> None:
    file = await stored(ports, new_file(deliver_to=[destination()]))
    assert await eventually(lambda: _ids_due(ports)) == [file.id]
    assert [hint.record_id for hint in await _overlooked(ports)] == [file.id]
    await ports.files.deliveries_made({file.id: 1})
    assert not await _overlooked(ports)


async def test_file_to_be_deleted_has_its_own_task_and_queue(ports: Ports) -> None:
    file = await stored(ports)
    await ports.files.request_delete(file.id, deliveries_asked=0)
    (hint,) = await _overlooked(ports, queue=Queue.MAINTENANCE)
    assert (hint.task, hint.record_id, hint.queue) == (TaskName.DELETE_FILE, file.id, Queue.MAINTENANCE)


async def test_delivery_has_its_own_task_and_its_files_queue(ports: Ports) -> None:
    delivery, _ = await ports.deliveries.open(new_delivery(destination(), queue=Queue.LARGE))
    (hint,) = await _overlooked(ports, queue=Queue.LARGE)
    assert (hint.task, hint.record_id, hint.queue) == (TaskName.FINALIZE_FILE, delivery.id, Queue.LARGE)


async def test_deleted_content_is_to_be_swept_when_nothing_can_come_late_any_more(ports: Ports) -> None:
    file = await registered(ports)
    content_id = ports.contents.new_id()
    await ports.contents.open(
        content_id, file_id=file.id, filename="run.h5", content_type="text/plain", length=9, fence=1
    )
    assert not await ports.agenda.due(10)
    await ports.contents.drop_ref(content_id, file.id)
    (hint,) = await eventually(lambda: ports.agenda.due(10))
    assert (hint.task, hint.record_id, hint.queue) == (TaskName.SWEEP_CONTENT, content_id, Queue.MAINTENANCE)


async def _later_than(moment: float) -> bool:
    return time.monotonic() > moment
