"""The suite of `DeliveryRegistry`."""

import asyncio

import pytest

from gridhaul.transfer.errors import LeaseLost, OptionsConflict
from gridhaul.transfer.model import (
    Delivery,
    Destination,
    Evidence,
    Failure,
    IfExists,
    NewDelivery,
    Receipt,
    RecordId,
)
from gridhaul.transfer.states import DELIVERABLE, DeliveryState
from tests.contracts.ports import A_FILE, SHA256, Ports, destination, eventually, new_delivery

OVERWRITE = destination(if_exists=IfExists.OVERWRITE)
FAILURE = Failure(code="target_mismatch", detail="Other bytes.")


async def _claimed(ports: Ports, new: NewDelivery) -> Delivery:
    await ports.deliveries.open(new)
    delivery = await ports.deliveries.claim(
        new.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert delivery is not None
    return delivery


def _from_another_file(to: Destination) -> NewDelivery:
    return new_delivery(to, file_id=RecordId("b" * 24))


async def test_opened_delivery_is_what_was_given(ports: Ports) -> None:
    new = new_delivery(destination())
    delivery, queued = await ports.deliveries.open(new)
    assert queued
    assert delivery.id == new.id
    assert (delivery.file_id, delivery.owner, delivery.length, delivery.sha256) == (A_FILE, "operator", 5, SHA256)
    assert (delivery.target, delivery.object_name, delivery.if_exists) == ("archive", "run.h5", IfExists.FAIL)
    assert (delivery.state, delivery.fence, delivery.receipt) == (DeliveryState.QUEUED, 0, None)
    assert await ports.deliveries.get(new.id) == delivery


async def test_opened_twice_it_is_the_same_and_queued_once(ports: Ports) -> None:
    first, _ = await ports.deliveries.open(new_delivery(destination()))
    again, queued = await ports.deliveries.open(new_delivery(destination()))
    assert (again, queued) == (first, False)


async def test_of_many_at_once_one_is_queued(ports: Ports) -> None:
    new = new_delivery(destination())
    opened = await asyncio.gather(*(ports.deliveries.open(new) for _ in range(20)))
    assert [queued for _, queued in opened].count(True) == 1
    assert {delivery.id for delivery, _ in opened} == {new.id}


async def test_other_policy_is_a_conflict(ports: Ports) -> None:
    await ports.deliveries.open(new_delivery(destination()))
    with pytest.raises(OptionsConflict):
        await ports.deliveries.open(new_delivery(OVERWRITE))


async def test_delivered_one_is_not_queued_again(ports: Ports) -> None:
    delivery = await _claimed(ports, new_delivery(destination()))
    await ports.deliveries.finish(delivery.lease, DeliveryState.DELIVERED)
    again, queued = await ports.deliveries.open(new_delivery(destination()))
    assert (again.state, queued) == (DeliveryState.DELIVERED, False)


async def test_failed_one_is_queued_again_and_its_fence_keeps_growing(ports: Ports) -> None:
    delivery = await _claimed(ports, new_delivery(destination()))
    left = {"temporary_name": ".gridhaul-part", "final_touched": True, "sent_bytes": 3}
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, error=FAILURE, **left)
    again, queued = await ports.deliveries.open(new_delivery(OVERWRITE))
    assert queued
    assert (again.state, again.if_exists, again.error) == (DeliveryState.QUEUED, IfExists.OVERWRITE, None)
    assert (again.fence, again.attempts, again.sent_bytes) == (1, 0, 0)
    assert (again.temporary_name, again.final_touched) == (".gridhaul-part", True)
    assert again.created_at == delivery.created_at
    assert (await _claimed(ports, new_delivery(OVERWRITE))).fence == 2


async def test_make_queues_a_delivery_once(ports: Ports) -> None:
    new = new_delivery(destination())
    made = await asyncio.gather(*(ports.deliveries.make(new) for _ in range(20)))
    assert made.count(True) == 1


async def test_make_does_not_queue_a_failed_one_again(ports: Ports) -> None:
    delivery = await _claimed(ports, new_delivery(destination()))
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, error=FAILURE)
    assert not await ports.deliveries.make(new_delivery(destination()))
    failed = await ports.deliveries.get(delivery.id)
    assert failed is not None
    assert failed.state is DeliveryState.FAILED


async def test_name_is_held_until_the_delivery_is_over(ports: Ports) -> None:
    first = await _claimed(ports, new_delivery(destination()))
    second = await _claimed(ports, _from_another_file(destination()))
    assert await ports.deliveries.hold_name(first.lease, "run.h5")
    assert await ports.deliveries.hold_name(first.lease, "run.h5")
    assert not await ports.deliveries.hold_name(second.lease, "run.h5")
    await ports.deliveries.finish(first.lease, DeliveryState.FAILED)
    assert await ports.deliveries.hold_name(second.lease, "run.h5")


async def test_name_stays_held_while_its_delivery_waits_for_another_try(ports: Ports) -> None:
    first = await _claimed(ports, new_delivery(destination()))
    second = await _claimed(ports, _from_another_file(destination()))
    await ports.deliveries.hold_name(first.lease, "run.h5")
    await ports.deliveries.release(first.lease, DeliveryState.QUEUED, delay_seconds=60)
    assert not await ports.deliveries.hold_name(second.lease, "run.h5")


async def test_name_given_up_for_another_is_free(ports: Ports) -> None:
    first = await _claimed(ports, new_delivery(destination()))
    second = await _claimed(ports, _from_another_file(destination()))
    await ports.deliveries.hold_name(first.lease, "run.h5")
    await ports.deliveries.hold_name(first.lease, "run (1).h5")
    assert await ports.deliveries.hold_name(second.lease, "run.h5")
    assert not await ports.deliveries.hold_name(second.lease, "run (1).h5")
    held = await ports.deliveries.get(first.id)
    assert held is not None
    assert held.final_name == "run (1).h5"


async def test_same_name_at_two_targets_can_be_held_at_once(ports: Ports) -> None:
    first = await _claimed(ports, new_delivery(destination("archive")))
    second = await _claimed(ports, new_delivery(destination("mirror")))
    assert await ports.deliveries.hold_name(first.lease, "run.h5")
    assert await ports.deliveries.hold_name(second.lease, "run.h5")


async def test_of_many_that_want_a_name_at_once_one_holds_it(ports: Ports) -> None:
    news = [new_delivery(destination(), file_id=RecordId(f"{number:024x}")) for number in range(20)]
    leases = [(await _claimed(ports, new)).lease for new in news]
    answers = await asyncio.gather(*(ports.deliveries.hold_name(lease, "$target") for lease in leases))
    assert answers.count(True) == 1


async def test_stale_holder_can_not_hold_a_name(short_leases: Ports) -> None:
    deliveries = short_leases.deliveries
    stale = (await _claimed(short_leases, new_delivery(destination()))).lease
    await eventually(
        lambda: deliveries.claim(
            stale.record_id, holder="another", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
        )
    )
    with pytest.raises(LeaseLost):
        await deliveries.hold_name(stale, "run.h5")


async def test_receipt_comes_back_as_it_was_written(ports: Ports) -> None:
    delivery = await _claimed(ports, new_delivery(destination()))
    receipt = Receipt(
        length=2**53,
        sha256=SHA256,
        manifest_root="cd" * 32,
        target="archive",
        object_name="$object_name",
        location="https://archive.example/run.h5",
        evidence=Evidence.REMOTE_DIGEST,
        atomic_commit=True,
        attempts=3,
    )
    await ports.deliveries.finish(delivery.lease, DeliveryState.DELIVERED, receipt=receipt)
    delivered = await ports.deliveries.get(delivery.id)
    assert delivered is not None
    assert delivered.receipt == receipt


async def test_deliveries_of_a_file_are_listed_and_no_others(ports: Ports) -> None:
    names = [f"run-{number}.h5" for number in range(3)]
    for name in names:
        await ports.deliveries.open(new_delivery(destination(object_name=name)))
    await ports.deliveries.open(_from_another_file(destination()))
    assert [delivery.object_name for delivery in await ports.deliveries.of_file(A_FILE)] == names
    assert not await ports.deliveries.of_file(RecordId("f" * 24))
