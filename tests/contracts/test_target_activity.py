"""The suite of `ActivityCounting`: an account's deliveries at each target, and how the last of them ended."""

from collections.abc import Mapping
from dataclasses import replace

from gridhaul.transfer.errors import Patience
from gridhaul.transfer.model import Delivery, Failure
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, Action, DeliveryState
from gridhaul.transfer.target_activity import LastDelivered, LastError, TargetActivity
from tests.contracts.ports import Ports, destination, new_delivery

AWAY = Failure(code="target_unavailable", detail="The target did not answer.")
TAKEN = Failure(code="object_exists", detail="The target holds other bytes under the name.")


async def queued(ports: Ports, name: str, *, target: str = "archive", owner: str = "operator") -> Delivery:
    to = destination(target, object_name=name)
    delivery, _ = await ports.deliveries.open(replace(new_delivery(to), owner=owner))
    return delivery


async def streaming(ports: Ports, name: str, *, target: str = "archive") -> Delivery:
    found = await ports.deliveries.claim(
        (await queued(ports, name, target=target)).id,
        holder="worker",
        from_states=DELIVERABLE,
        to_state=DeliveryState.STREAMING,
    )
    assert found is not None
    return found


async def delivered(ports: Ports, name: str, *, target: str = "archive") -> Delivery:
    delivery = await streaming(ports, name, target=target)
    await ports.deliveries.finish(delivery.lease, DeliveryState.DELIVERED, error=None)
    return await afterwards(ports, delivery)


async def failed(ports: Ports, name: str) -> Delivery:
    delivery = await streaming(ports, name)
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, error=TAKEN)
    return await afterwards(ports, delivery)


async def waiting(ports: Ports, name: str) -> Delivery:
    delivery = await streaming(ports, name)
    await ports.deliveries.wait(
        delivery.lease, DeliveryState.QUEUED, patience=Patience.HOURS, delay_seconds=60, error=AWAY
    )
    return await afterwards(ports, delivery)


async def afterwards(ports: Ports, delivery: Delivery) -> Delivery:
    found = await ports.deliveries.get(delivery.id)
    assert found is not None
    return found


async def activity(ports: Ports, owner: str = "operator") -> Mapping[str, TargetActivity]:
    found = await ports.activity_counting.of_account(owner)
    assert found.counted_at.tzinfo is not None
    return found.targets


async def test_account_without_deliveries_is_active_at_no_target(ports: Ports) -> None:
    await queued(ports, "a", owner="another")
    assert await activity(ports) == {}


async def test_deliveries_are_counted_by_target_and_state_and_of_one_account(ports: Ports) -> None:
    for name in "ab":
        await queued(ports, name)
    await queued(ports, "c", owner="another")
    await queued(ports, "d", target="mirror")
    await streaming(ports, "e")
    paused = await queued(ports, "f")
    await ports.deliveries.move(paused.id, DELIVERY_MOVES[Action.PAUSE])
    found = await activity(ports)
    assert {name: dict(one.counts) for name, one in found.items()} == {
        "archive": {DeliveryState.QUEUED: 2, DeliveryState.STREAMING: 1, DeliveryState.PAUSED: 1},
        "mirror": {DeliveryState.QUEUED: 1},
    }
    assert {(one.last_delivered, one.last_error) for one in found.values()} == {(None, None)}


async def test_last_delivery_is_the_newest_by_its_creation(ports: Ports) -> None:
    older = await streaming(ports, "a")
    newer = await delivered(ports, "b")
    await ports.deliveries.finish(older.lease, DeliveryState.DELIVERED)
    await delivered(ports, "c", target="mirror")
    assert newer.ended_at is not None
    last = (await activity(ports))["archive"].last_delivered
    assert last == LastDelivered(delivery_id=newer.id, object_name="b", at=newer.ended_at)


async def test_last_error_is_of_the_newest_that_failed_or_waits_after_an_error(ports: Ports) -> None:
    await waiting(ports, "a")
    over = await failed(ports, "b")
    await queued(ports, "c")
    assert over.ended_at is not None
    last = (await activity(ports))["archive"].last_error
    assert last == LastError(delivery_id=over.id, object_name="b", at=over.ended_at, error=TAKEN)
    waits = await waiting(ports, "d")
    last = (await activity(ports))["archive"].last_error
    assert last == LastError(delivery_id=waits.id, object_name="d", at=waits.updated_at, error=AWAY)


async def test_delivery_that_is_tried_again_or_cancelled_is_no_error_any_more(ports: Ports) -> None:
    over, waits = await failed(ports, "a"), await waiting(ports, "b")
    await ports.deliveries.move(waits.id, DELIVERY_MOVES[Action.CANCEL])
    last = (await activity(ports))["archive"].last_error
    assert last is not None
    assert last.delivery_id == over.id
    await ports.deliveries.open(new_delivery(destination(object_name="a")))
    assert (await activity(ports))["archive"].last_error is None
