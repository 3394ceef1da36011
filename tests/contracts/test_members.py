"""The suite of the hints of a batch's members: their batch owes them, except those of maintenance."""

from dataclasses import replace

from gridhaul.transfer.errors import Patience
from gridhaul.transfer.model import Delivery, File, Queue, RecordId, TaskName
from gridhaul.transfer.states import (
    DELIVERABLE,
    DELIVERY_MOVES,
    FILE_MOVES,
    STORABLE,
    Action,
    DeliveryState,
    FileState,
)
from tests.contracts.ports import (
    SHA256,
    Ports,
    claimed,
    destination,
    eventually,
    new_delivery,
    new_file,
    registered,
)

A_BATCH = RecordId("c" * 24)


async def _member(ports: Ports) -> File:
    return await registered(ports, replace(new_file(), batch_id=A_BATCH))


async def _delivery(ports: Ports) -> Delivery:
    delivery, _ = await ports.deliveries.open(replace(new_delivery(destination()), batch_id=A_BATCH))
    return delivery


async def _claimed_delivery(ports: Ports, delivery: Delivery) -> Delivery:
    taken = await ports.deliveries.claim(
        delivery.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    return taken


async def _no_hint_is_owed(ports: Ports) -> None:
    """Assert it, also for the case that a hint was given and overlooked."""
    assert not await ports.agenda.due(10)
    for queue in Queue:
        assert not await ports.agenda.overlooked(queue, 10, seconds=0)
        assert await ports.agenda.unanswered(queue, 10) == 0


async def test_new_member_waits_without_a_hint_and_can_be_claimed(ports: Ports) -> None:
    file, delivery = await _member(ports), await _delivery(ports)
    assert (file.batch_id, delivery.batch_id) == (A_BATCH, A_BATCH)
    await _no_hint_is_owed(ports)
    await claimed(ports, file)
    await _claimed_delivery(ports, delivery)


async def test_no_hint_is_owed_when_the_lease_of_a_member_ends_and_it_can_be_claimed_again(short_leases: Ports) -> None:
    file, delivery = await _member(short_leases), await _delivery(short_leases)
    await claimed(short_leases, file)
    assert await short_leases.deliveries.hold_name((await _claimed_delivery(short_leases, delivery)).lease, "run.h5")
    again = await eventually(
        lambda: short_leases.files.claim(file.id, holder="another", from_states=STORABLE, to_state=FileState.STORING)
    )
    assert again is not None
    assert again.fence == 2
    await _no_hint_is_owed(short_leases)


async def test_member_that_waits_for_its_next_attempt_is_hinted_by_nobody_and_due_in_time(ports: Ports) -> None:
    file, delivery = await claimed(ports, await _member(ports)), await _claimed_delivery(ports, await _delivery(ports))
    await ports.files.wait(file.lease, FileState.REGISTERED, patience=Patience.HOURS, delay_seconds=0)
    await ports.deliveries.release(delivery.lease, DeliveryState.QUEUED, delay_seconds=60)
    await _no_hint_is_owed(ports)
    await claimed(ports, file)
    waiting = await ports.deliveries.hurry(delivery.id)
    assert waiting is not None
    await _no_hint_is_owed(ports)
    await _claimed_delivery(ports, delivery)


async def test_member_moved_back_by_an_operator_is_hinted_by_nobody_and_due(ports: Ports) -> None:
    file, delivery = await _member(ports), await _delivery(ports)
    for then in (Action.PAUSE, Action.RESUME, Action.CANCEL, Action.RETRY):
        assert await ports.files.move(file.id, FILE_MOVES[then]) is not None
        assert await ports.deliveries.move(delivery.id, DELIVERY_MOVES[then]) is not None
        await _no_hint_is_owed(ports)
    await claimed(ports, file)
    await _claimed_delivery(ports, delivery)


async def test_members_of_a_bundle_are_hinted_by_nobody(ports: Ports) -> None:
    kept = await _member(ports)
    given_back = await registered(
        ports, replace(new_file(name="other.h5", deliver_to=[destination()]), batch_id=A_BATCH)
    )
    contents = {file.id: ports.contents.new_id() for file in (kept, given_back)}
    leases = {file.id: file.lease for file in await ports.files.claim_new(contents, holder="worker")}
    await ports.files.release_all([leases[given_back.id]])
    await ports.files.finish_all({leases[kept.id]: {"sha256": SHA256}}, FileState.STORED)
    await _no_hint_is_owed(ports)
    again = await claimed(ports, given_back)
    await ports.files.finish(again.lease, FileState.STORED, sha256=SHA256)  # its delivery is still to be made
    await _no_hint_is_owed(ports)
    stored = frozenset({FileState.STORED})
    assert await ports.files.claim(again.id, holder="worker", from_states=stored, to_state=FileState.STORED)


async def test_delivery_of_a_batch_that_is_queued_again_is_hinted_by_nobody(ports: Ports) -> None:
    delivery = await _claimed_delivery(ports, await _delivery(ports))
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, leftovers=("temporary",))
    assert (await _delivery(ports)).state is DeliveryState.QUEUED
    await _no_hint_is_owed(ports)


async def test_delivery_of_a_batch_that_is_retried_leaves_the_queue_of_its_cleaning(ports: Ports) -> None:
    delivery = await _claimed_delivery(ports, await _delivery(ports))
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, leftovers=("temporary",))
    cleaning = await eventually(lambda: ports.deliveries.claim_cleaning(delivery.id, holder="worker"))
    assert cleaning is not None
    await ports.deliveries.finish(cleaning.lease, cleaning.state, leftovers=("temporary",))
    again = await ports.deliveries.move(delivery.id, DELIVERY_MOVES[Action.RETRY])
    assert again is not None
    assert again.queue is Queue.SMALL
    await _no_hint_is_owed(ports)


async def test_deleted_member_is_hinted_by_itself(short_leases: Ports) -> None:
    file = await claimed(short_leases, await _member(short_leases))
    await short_leases.files.finish(file.lease, FileState.STORED, sha256=SHA256)
    await short_leases.files.request_delete(file.id, deliveries_asked=0)
    (hint,) = await short_leases.agenda.overlooked(Queue.MAINTENANCE, 10, seconds=0)
    assert (hint.task, hint.record_id) == (TaskName.DELETE_FILE, file.id)
    deleting = frozenset({FileState.DELETING})
    taken = await short_leases.files.claim(file.id, holder="worker", from_states=deleting, to_state=FileState.DELETING)
    assert taken is not None
    (hint,) = await eventually(lambda: short_leases.agenda.due(10))
    assert hint.record_id == file.id


async def test_cleaning_of_a_members_delivery_is_hinted_by_itself(ports: Ports) -> None:
    delivery = await _claimed_delivery(ports, await _delivery(ports))
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, leftovers=("temporary",))
    (hint,) = await eventually(lambda: ports.agenda.due(10))
    assert (hint.task, hint.record_id, hint.queue) == (TaskName.CLEAN_DELIVERY, delivery.id, Queue.MAINTENANCE)
    cleaning = await ports.deliveries.claim_cleaning(delivery.id, holder="worker")
    assert cleaning is not None
    await ports.deliveries.finish(cleaning.lease, cleaning.state, leftovers=())
    await _no_hint_is_owed(ports)
