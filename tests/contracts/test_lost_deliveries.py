"""The suite of `DeliveryRegistry` for deliveries whose object was found lost after they were DELIVERED."""

import asyncio
from dataclasses import replace

import pytest

from gridhaul.transfer.errors import OptionsConflict
from gridhaul.transfer.findings import SkipReason
from gridhaul.transfer.model import (
    CheckedObject,
    Delivery,
    Evidence,
    Failure,
    FormerReceipt,
    IfExists,
    NewDelivery,
    Receipt,
    RecordId,
    RemoteObject,
)
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, Action, DeliveryState
from tests.contracts.ports import SHA256, Ports, destination, new_delivery

GONE = Failure(code="object_missing", detail="No object is under the name.")
RETRY = DELIVERY_MOVES[Action.RETRY]
NEW = new_delivery(destination())
OVERWRITE = new_delivery(destination(if_exists=IfExists.OVERWRITE))
RECEIPT = Receipt(
    length=5,
    sha256=SHA256,
    manifest_root="cd" * 32,
    target="archive",
    object_name="run.h5",
    location="https://archive.example/run.h5",
    evidence=Evidence.READ_BACK,
    atomic_commit=False,
    attempts=1,
)


async def delivered(
    ports: Ports,
    *,
    object_error: Failure | None,
    attempts: int = 1,
    new: NewDelivery = NEW,
    receipt: Receipt = RECEIPT,
) -> Delivery:
    """Claim the delivery, finish it as one that wrote straight to its final name does, and return it."""
    taken = await ports.deliveries.claim(
        new.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    assert await ports.deliveries.hold_name(taken.lease, "run.h5")
    before = RemoteObject(length=3, sha256="", evidence=Evidence.SIZE)
    checked = CheckedObject(temporary_name=".gridhaul-part", tag="t", evidence=Evidence.READ_BACK)
    sent = {"final_touched": True, "replaced": before, "checked": checked, "sent_bytes": 5, "sent_bytes_most": 5}
    done = {"receipt": replace(receipt, attempts=attempts), "object_error": object_error, **sent}
    await ports.deliveries.finish(taken.lease, DeliveryState.DELIVERED, **done)
    found = await ports.deliveries.get(new.id)
    assert found is not None
    return found


async def _lost(ports: Ports) -> Delivery:
    await ports.deliveries.open(NEW)
    return await delivered(ports, object_error=GONE)


def _queued_with_history(again: Delivery | None, lost: Delivery) -> None:
    """Check that the delivery is queued and knows nothing of its object but the former receipt."""
    assert again is not None
    assert (again.state, again.fence, again.receipt, again.object_error) == (
        DeliveryState.QUEUED,
        lost.fence + 1,
        None,
        None,
    )
    assert (again.final_touched, again.replaced, again.checked, again.final_name) == (False, None, None, None)
    assert (again.sent_bytes, again.sent_bytes_most, again.ended_at) == (0, 0, None)
    assert lost.receipt is not None
    assert lost.ended_at is not None
    former = FormerReceipt(receipt=lost.receipt, ended_at=lost.ended_at, object_error=GONE)
    assert again.former_receipts == (former,)
    assert again.created_at == lost.created_at


async def test_retry_of_a_lost_delivery_queues_it_and_keeps_its_receipt_as_a_former_one(ports: Ports) -> None:
    lost = await _lost(ports)
    again = await ports.deliveries.move(lost.id, RETRY)
    _queued_with_history(again, lost)
    assert await ports.deliveries.get(lost.id) == again


async def test_lost_deliveries_are_listed_from_the_newest_to_the_oldest(ports: Ports) -> None:
    news = [new_delivery(destination(object_name=f"run-{number}.h5")) for number in range(4)]
    for new in news:
        await ports.deliveries.open(new)
    made = [await delivered(ports, object_error=None if new is news[1] else GONE, new=new) for new in news]
    lost = sorted((made[n] for n in (0, 2, 3)), key=lambda one: (one.created_at, one.id), reverse=True)
    newest = await ports.deliveries.page_of_lost(owner="operator", limit=2, after=None)
    assert newest == lost[:2]
    assert await ports.deliveries.page_of_lost(owner=None, limit=2, after=newest[-1]) == lost[2:]
    assert not await ports.deliveries.page_of_lost(owner="somebody", limit=2, after=None)
    await ports.deliveries.move(lost[0].id, RETRY)
    assert await ports.deliveries.page_of_lost(owner=None, limit=9, after=None) == lost[1:]


OTHER_BYTES = "ef" * 32


async def _another(ports: Ports, sha256: str) -> NewDelivery:
    """Queue a delivery of another file, whose bytes have this digest, to the same name."""
    new = replace(OVERWRITE, file_id=RecordId("b" * 24), sha256=sha256)
    await ports.deliveries.open(new)
    return new


async def test_object_need_not_be_the_deliverys_own_while_another_one_holds_its_name(ports: Ports) -> None:
    lost = await _lost(ports)
    assert await ports.deliveries.why_not_ours(lost) is None
    new = await _another(ports, SHA256)
    taken = await ports.deliveries.claim(
        new.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    assert await ports.deliveries.hold_name(taken.lease, "run.h5")
    assert await ports.deliveries.why_not_ours(lost) is SkipReason.NAME_HELD


@pytest.mark.parametrize(("sha256", "reason"), [(SHA256, None), (OTHER_BYTES, SkipReason.REPLACED)])
async def test_object_of_a_later_delivery_of_other_bytes_replaces_it(
    ports: Ports, sha256: str, reason: SkipReason | None
) -> None:
    lost = await _lost(ports)
    new = await _another(ports, sha256)
    receipt = replace(RECEIPT, sha256=sha256)
    later = await delivered(ports, object_error=GONE, new=new, receipt=receipt)
    assert await ports.deliveries.why_not_ours(lost) is reason
    assert await ports.deliveries.why_not_ours(later) is None
    assert await ports.deliveries.move(later.id, RETRY) is not None
    assert await ports.deliveries.why_not_ours(lost) is reason, "a later object that was lost has replaced it, too"


async def test_repeated_open_does_not_queue_a_lost_delivery(ports: Ports) -> None:
    lost = await _lost(ports)
    assert await ports.deliveries.open(NEW) == (lost, False)
    with pytest.raises(OptionsConflict):
        await ports.deliveries.open(OVERWRITE)
    assert await ports.deliveries.get(lost.id) == lost


async def test_make_does_not_queue_a_lost_delivery(ports: Ports) -> None:
    lost = await _lost(ports)
    assert not await ports.deliveries.make_all([NEW])
    assert await ports.deliveries.get(lost.id) == lost


async def test_delivery_whose_object_is_not_known_to_be_lost_is_not_queued_again(ports: Ports) -> None:
    await ports.deliveries.open(NEW)
    right = await delivered(ports, object_error=None)
    assert await ports.deliveries.move(right.id, RETRY) is None
    assert await ports.deliveries.open(NEW) == (right, False)
    with pytest.raises(OptionsConflict):
        await ports.deliveries.open(OVERWRITE)


@pytest.mark.parametrize("action", [action for action in Action if action is not Action.RETRY])
async def test_only_a_retry_moves_a_lost_delivery(ports: Ports, action: Action) -> None:
    lost = await _lost(ports)
    assert await ports.deliveries.move(lost.id, DELIVERY_MOVES[action]) is None
    assert await ports.deliveries.get(lost.id) == lost


async def test_of_many_retries_at_once_one_queues_the_lost_delivery(ports: Ports) -> None:
    lost = await _lost(ports)
    moved = await asyncio.gather(*(ports.deliveries.move(lost.id, RETRY) for _ in range(20)))
    (again,) = [one for one in moved if one is not None]
    _queued_with_history(again, lost)


async def test_the_last_20_former_receipts_are_kept_oldest_first(ports: Ports) -> None:
    await ports.deliveries.open(NEW)
    for attempts in range(1, 24):
        await delivered(ports, object_error=GONE, attempts=attempts)
        await ports.deliveries.move(NEW.id, RETRY)
    found = await ports.deliveries.get(NEW.id)
    assert found is not None
    assert [former.receipt.attempts for former in found.former_receipts] == list(range(4, 24))


async def test_failed_delivery_that_was_lost_before_keeps_its_history_and_what_it_touched(ports: Ports) -> None:
    lost = await _lost(ports)
    await ports.deliveries.move(lost.id, RETRY)
    taken = await ports.deliveries.claim(
        lost.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    await ports.deliveries.finish(taken.lease, DeliveryState.FAILED, error=GONE, final_touched=True, sent_bytes_most=3)
    again = await ports.deliveries.move(lost.id, RETRY)
    assert again is not None
    assert (again.final_touched, again.sent_bytes_most, again.receipt) == (True, 3, None)
    assert [former.receipt for former in again.former_receipts] == [lost.receipt]


async def test_name_of_a_lost_delivery_is_claimed_anew(ports: Ports) -> None:
    lost = await _lost(ports)
    other = new_delivery(destination(), file_id=lost.id)
    await ports.deliveries.open(other)
    taken = await ports.deliveries.claim(
        other.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    assert await ports.deliveries.hold_name(taken.lease, "run.h5")
    await ports.deliveries.move(lost.id, RETRY)
    again = await ports.deliveries.claim(
        lost.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert again is not None
    assert not await ports.deliveries.hold_name(again.lease, "run.h5")
