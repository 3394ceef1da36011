"""The suite of `DeliveryRegistry`."""

import asyncio
import time
from dataclasses import replace

import pytest

from gridhaul.transfer.errors import LeaseLost, OptionsConflict
from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import (
    ATTEMPTS_KEPT,
    CheckedObject,
    Delivery,
    Destination,
    Evidence,
    Failure,
    Hint,
    IfExists,
    NewDelivery,
    Queue,
    Receipt,
    RecordId,
    RemoteObject,
    TaskName,
)
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, Action, DeliveryState
from tests.contracts.ports import (
    A_FILE,
    SHA256,
    SHORT_LEASE_SECONDS,
    Ports,
    destination,
    eventually,
    new_delivery,
)
from tests.file_times import YEAR_2400

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
    left = {"leftovers": (".gridhaul-part",), "final_touched": True, "sent_bytes": 3}
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, error=FAILURE, **left)
    again, queued = await ports.deliveries.open(new_delivery(OVERWRITE))
    assert queued
    assert (again.state, again.if_exists, again.error) == (DeliveryState.QUEUED, IfExists.OVERWRITE, None)
    assert (again.fence, again.attempts, again.sent_bytes) == (2, 0, 0)
    assert (again.leftovers, again.final_touched) == ((".gridhaul-part",), True)
    assert again.created_at == delivery.created_at
    assert (await _claimed(ports, new_delivery(OVERWRITE))).fence == 3


async def test_make_queues_a_delivery_once(ports: Ports) -> None:
    new = new_delivery(destination())
    made = await asyncio.gather(*(ports.deliveries.make_all([new]) for _ in range(20)))
    assert sorted(map(len, made)) == [0] * 19 + [1]


async def test_make_does_not_queue_a_failed_one_again(ports: Ports) -> None:
    delivery = await _claimed(ports, new_delivery(destination()))
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, error=FAILURE)
    assert not await ports.deliveries.make_all([new_delivery(destination())])
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
        mtime_ns=YEAR_2400,
        mode=0o640,
        mtime_kept=True,
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


TEMPORARY = f".gridhaul-{'c' * 24}-1.part"


async def _due_for_cleaning(ports: Ports) -> Hint:
    hints = await eventually(lambda: ports.agenda.due(10))
    (hint,) = hints
    return hint


@pytest.mark.parametrize("end", [DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.CANCELLED])
async def test_delivery_that_left_something_is_to_be_cleaned_and_its_end_stays(
    ports: Ports, end: DeliveryState
) -> None:
    delivery = await _claimed(ports, new_delivery(destination()))
    await ports.deliveries.renew(delivery.lease, leftovers=(TEMPORARY,))
    if end is DeliveryState.CANCELLED:
        await ports.deliveries.move(delivery.id, DELIVERY_MOVES[Action.CANCEL])
    else:
        await ports.deliveries.finish(delivery.lease, end, error=FAILURE, rate=5.0)
    ended = await ports.deliveries.get(delivery.id)
    assert await ports.deliveries.claim_cleaning(delivery.id, holder="w") is None, "the cleaning is not due yet"
    hint = await _due_for_cleaning(ports)
    assert (hint.task, hint.record_id, hint.queue) == (TaskName.CLEAN_DELIVERY, delivery.id, Queue.MAINTENANCE)
    taken = await ports.deliveries.claim_cleaning(delivery.id, holder="w")
    assert ended is not None
    assert taken is not None
    assert taken.ended_at == ended.ended_at is not None
    assert (taken.state, taken.error, taken.rate, taken.attempts) == (end, ended.error, ended.rate, ended.attempts)
    assert (taken.leftovers, taken.fence) == ((TEMPORARY,), ended.fence + 1)
    assert await ports.deliveries.claim_cleaning(delivery.id, holder="another") is None
    await ports.deliveries.finish(taken.lease, end, leftovers=())
    clean = await ports.deliveries.get(delivery.id)
    assert clean is not None
    assert (clean.state, clean.error, clean.leftovers, clean.ended_at) == (end, ended.error, (), ended.ended_at)
    assert await ports.deliveries.claim_cleaning(delivery.id, holder="w") is None
    assert not await ports.agenda.due(10)


async def test_cleaning_that_could_not_be_done_is_due_again_later(ports: Ports) -> None:
    delivery = await _claimed(ports, new_delivery(destination()))
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, leftovers=(TEMPORARY,))
    await _due_for_cleaning(ports)
    taken = await ports.deliveries.claim_cleaning(delivery.id, holder="w")
    assert taken is not None
    await ports.deliveries.finish(taken.lease, DeliveryState.FAILED)
    assert await ports.deliveries.claim_cleaning(delivery.id, holder="w") is None
    await _due_for_cleaning(ports)
    assert await ports.deliveries.claim_cleaning(delivery.id, holder="w") is not None


NOT_REMOVED = Failure(code="target_refused", detail="The target answered 405.")


async def _not_cleaned(ports: Ports, *left: str) -> Delivery:
    """Return a delivery that failed and whose cleaning, which must be done again, left these names."""
    delivery = await _claimed(ports, new_delivery(destination()))
    await ports.deliveries.hold_name(delivery.lease, "run.h5")
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, leftovers=("run.h5", TEMPORARY))
    await _due_for_cleaning(ports)
    taken = await ports.deliveries.claim_cleaning(delivery.id, holder="w")
    assert taken is not None
    assert taken.cleaning_error is None
    why = {"leftovers": left, "cleaning_error": NOT_REMOVED}
    await ports.deliveries.release(taken.lease, DeliveryState.FAILED, delay_seconds=0, **why)
    return taken


async def test_reason_why_leftovers_remain_stays_until_they_are_gone(ports: Ports) -> None:
    await _not_cleaned(ports, TEMPORARY)
    await _due_for_cleaning(ports)
    taken = await ports.deliveries.claim_cleaning(new_delivery(destination()).id, holder="w")
    assert taken is not None
    assert (taken.leftovers, taken.cleaning_error) == ((TEMPORARY,), NOT_REMOVED)
    await ports.deliveries.finish(taken.lease, DeliveryState.FAILED)
    await _due_for_cleaning(ports)
    taken = await ports.deliveries.claim_cleaning(taken.id, holder="w")
    assert taken is not None
    assert taken.cleaning_error == NOT_REMOVED
    await ports.deliveries.finish(taken.lease, DeliveryState.FAILED, leftovers=(), cleaning_error=None)
    clean = await ports.deliveries.get(taken.id)
    assert clean is not None
    assert (clean.leftovers, clean.cleaning_error) == ((), None)


async def test_reason_why_leftovers_remain_is_forgotten_when_the_delivery_is_queued_again(ports: Ports) -> None:
    await _not_cleaned(ports, TEMPORARY)
    again, _ = await ports.deliveries.open(new_delivery(destination()))
    assert (again.leftovers, again.cleaning_error) == ((TEMPORARY,), None)


async def test_reason_why_leftovers_remain_is_forgotten_by_a_retry(ports: Ports) -> None:
    left = await _not_cleaned(ports, TEMPORARY)
    again = await ports.deliveries.move(left.id, DELIVERY_MOVES[Action.RETRY])
    assert again is not None
    assert (again.leftovers, again.cleaning_error) == ((TEMPORARY,), None)


@pytest.mark.parametrize("left", ["run.h5", TEMPORARY])
async def test_name_is_free_as_soon_as_nothing_is_left_under_it(ports: Ports, left: str) -> None:
    await _not_cleaned(ports, left)
    other = await _claimed(ports, _from_another_file(destination()))
    assert await ports.deliveries.hold_name(other.lease, "run.h5") is (left != "run.h5")


async def test_delivery_that_left_nothing_is_not_cleaned(ports: Ports) -> None:
    delivery = await _claimed(ports, new_delivery(destination()))
    assert await ports.deliveries.claim_cleaning(delivery.id, holder="w") is None
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED)
    assert await ports.deliveries.claim_cleaning(delivery.id, holder="w") is None


async def test_delivery_queued_again_before_it_was_cleaned_goes_to_its_files_queue(ports: Ports) -> None:
    delivery = await _claimed(ports, new_delivery(destination(), queue=Queue.LARGE))
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, leftovers=(TEMPORARY,))
    again, _ = await ports.deliveries.open(new_delivery(destination(), queue=Queue.LARGE))
    assert (again.queue, again.leftovers, again.ended_at) == (Queue.LARGE, (TEMPORARY,), None)
    (hint,) = await ports.agenda.overlooked(Queue.LARGE, 10, seconds=0)
    assert hint.task is TaskName.FINALIZE_FILE


async def test_delivery_queued_again_while_it_is_cleaned_is_lost_to_the_cleaner(ports: Ports) -> None:
    """The caller of `open` was told that the delivery is queued: the cleaner must not write the old end over it."""
    delivery = await _claimed(ports, new_delivery(destination()))
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, leftovers=(TEMPORARY,))
    await _due_for_cleaning(ports)
    cleaner = await ports.deliveries.claim_cleaning(delivery.id, holder="w")
    assert cleaner is not None
    _, queued = await ports.deliveries.open(new_delivery(destination()))
    assert queued
    with pytest.raises(LeaseLost):
        await ports.deliveries.finish(cleaner.lease, DeliveryState.FAILED, leftovers=())
    again = await _claimed(ports, new_delivery(destination()))
    assert again.fence > cleaner.fence
    assert again.leftovers == (TEMPORARY,)


async def test_delivery_queued_again_waits_for_a_cleaner_at_its_final_name(short_leases: Ports) -> None:
    delivery = await _claimed(short_leases, new_delivery(destination()))
    left = {"leftovers": ("run.h5",), "final_touched": True}
    await short_leases.deliveries.finish(delivery.lease, DeliveryState.FAILED, **left)
    await _due_for_cleaning(short_leases)
    assert await short_leases.deliveries.claim_cleaning(delivery.id, holder="w") is not None
    taken_at = time.monotonic()
    await short_leases.deliveries.open(new_delivery(destination()))
    (hint,) = await eventually(lambda: short_leases.agenda.due(10))
    assert hint.task is TaskName.FINALIZE_FILE
    assert await _claimed(short_leases, new_delivery(destination()))
    assert time.monotonic() - taken_at >= SHORT_LEASE_SECONDS - 0.05


async def test_paused_delivery_keeps_its_name_and_a_cancelled_one_gives_it_up(ports: Ports) -> None:
    first = await _claimed(ports, new_delivery(destination()))
    second = await _claimed(ports, _from_another_file(destination()))
    await ports.deliveries.hold_name(first.lease, "run.h5")
    await ports.deliveries.renew(first.lease, leftovers=(TEMPORARY,))
    await ports.deliveries.move(first.id, DELIVERY_MOVES[Action.PAUSE])
    assert not await ports.deliveries.hold_name(second.lease, "run.h5")
    await ports.deliveries.move(first.id, DELIVERY_MOVES[Action.CANCEL])
    assert await ports.deliveries.hold_name(second.lease, "run.h5")


async def test_name_stays_held_until_what_was_left_under_it_is_cleaned(ports: Ports) -> None:
    first = await _claimed(ports, new_delivery(destination()))
    second = await _claimed(ports, _from_another_file(destination()))
    await ports.deliveries.hold_name(first.lease, "run.h5")
    await ports.deliveries.finish(first.lease, DeliveryState.FAILED, leftovers=("run.h5",), final_touched=True)
    assert not await ports.deliveries.hold_name(second.lease, "run.h5")
    await _due_for_cleaning(ports)
    taken = await ports.deliveries.claim_cleaning(first.id, holder="w")
    assert taken is not None
    assert not await ports.deliveries.hold_name(second.lease, "run.h5")
    await ports.deliveries.finish(taken.lease, DeliveryState.FAILED, leftovers=())
    assert await ports.deliveries.hold_name(second.lease, "run.h5")


async def test_worker_that_writes_to_the_final_name_is_waited_for(short_leases: Ports) -> None:
    """The worker's lease must run out before another worker may write to the final name."""
    deliveries, new = short_leases.deliveries, new_delivery(destination())
    first = await _claimed(short_leases, new)
    await deliveries.renew(first.lease, final_touched=True, leftovers=("run.h5",))
    renewed_at = time.monotonic()
    await deliveries.move(first.id, DELIVERY_MOVES[Action.PAUSE])
    await deliveries.move(first.id, DELIVERY_MOVES[Action.RESUME])
    with pytest.raises(LeaseLost):
        await deliveries.require(first.lease)
    (hint,) = await eventually(lambda: short_leases.agenda.due(10))
    assert hint.task is TaskName.FINALIZE_FILE
    assert (await _claimed(short_leases, new)).fence > first.fence
    assert time.monotonic() - renewed_at >= SHORT_LEASE_SECONDS - 0.01


async def test_page_of_deliveries_goes_from_the_newest_to_the_oldest(ports: Ports) -> None:
    news = [new_delivery(destination(object_name=f"run-{number}.h5")) for number in range(5)]
    made = [(await ports.deliveries.open(new))[0] for new in news]
    made.sort(key=lambda delivery: (delivery.created_at, delivery.id), reverse=True)
    newest = await ports.deliveries.page(Selection(), limit=2, after=None)
    middle = await ports.deliveries.page(Selection(), limit=2, after=newest[-1])
    oldest = await ports.deliveries.page(Selection(), limit=2, after=middle[-1])
    assert [*newest, *middle, *oldest] == made
    assert not await ports.deliveries.page(Selection(), limit=2, after=oldest[-1])


async def test_page_of_deliveries_in_several_states_goes_from_the_newest_to_the_oldest(ports: Ports) -> None:
    news = [new_delivery(destination(object_name=f"run-{number}.h5")) for number in range(5)]
    made = [(await ports.deliveries.open(new))[0] for new in news]
    await ports.deliveries.move(made[1].id, DELIVERY_MOVES[Action.CANCEL])
    await ports.deliveries.move(made[2].id, DELIVERY_MOVES[Action.PAUSE])
    wanted = sorted((made[n] for n in (0, 1, 3, 4)), key=lambda one: (one.created_at, one.id), reverse=True)
    states = [DeliveryState.QUEUED, DeliveryState.CANCELLED]
    newest = await ports.deliveries.page(Selection(owner="operator", states=states), limit=2, after=None)
    oldest = await ports.deliveries.page(Selection(owner="operator", states=states), limit=3, after=newest[-1])
    assert [one.id for one in (*newest, *oldest)] == [one.id for one in wanted]


async def test_delivery_keeps_the_path_of_its_source(ports: Ports) -> None:
    delivery, _ = await ports.deliveries.open(replace(new_delivery(destination()), source_path="/srv/run.h5"))
    assert delivery.source_path == "/srv/run.h5"
    await ports.deliveries.move(delivery.id, DELIVERY_MOVES[Action.CANCEL])
    again, _ = await ports.deliveries.open(replace(new_delivery(destination()), source_path="/srv/moved.h5"))
    assert again.source_path == "/srv/moved.h5"


async def test_page_of_deliveries_shows_only_the_state_asked_for(ports: Ports) -> None:
    for number in range(3):
        await ports.deliveries.open(new_delivery(destination(object_name=f"run-{number}.h5")))
    taken = await _claimed(ports, new_delivery(destination(object_name="run-1.h5")))
    streaming = await ports.deliveries.page(Selection(states=[DeliveryState.STREAMING]), limit=9, after=None)
    assert [delivery.id for delivery in streaming] == [taken.id]
    waiting = await ports.deliveries.page(Selection(states=[DeliveryState.QUEUED]), limit=1, after=None)
    assert len(await ports.deliveries.page(Selection(states=[DeliveryState.QUEUED]), limit=9, after=waiting[0])) == 1


async def test_times_of_begun_uploads_are_kept_when_the_delivery_is_queued_again(ports: Ports) -> None:
    taken = noted = await _claimed(ports, new_delivery(destination()))
    assert taken.uploads_begun == ()
    for number in range(ATTEMPTS_KEPT + 2):
        await ports.deliveries.note_upload(taken.lease, sent_bytes=number)
        noted = await ports.deliveries.get(taken.id) or taken
        assert (noted.sent_bytes, len(noted.uploads_begun)) == (number, min(number + 1, ATTEMPTS_KEPT))
        assert taken.updated_at <= noted.uploads_begun[-1] <= noted.updated_at
        assert noted.uploads_begun == tuple(sorted(noted.uploads_begun))
    await ports.deliveries.finish(taken.lease, DeliveryState.FAILED)
    again, _ = await ports.deliveries.open(new_delivery(destination()))
    assert again.uploads_begun == noted.uploads_begun
    with pytest.raises(LeaseLost):
        await ports.deliveries.note_upload(taken.lease)


async def test_objects_at_the_target_come_back_as_they_were_written(ports: Ports) -> None:
    delivery = await _claimed(ports, new_delivery(destination()))
    before = RemoteObject(length=2**40, sha256="", evidence=Evidence.SIZE)
    checked = CheckedObject(temporary_name="x/.gridhaul", tag='W/"$1"', evidence=Evidence.READ_BACK)
    await ports.deliveries.renew(delivery.lease, replaced=before, checked=checked)
    kept = await ports.deliveries.get(delivery.id)
    assert kept is not None
    assert (kept.replaced, kept.checked) == (before, checked)
