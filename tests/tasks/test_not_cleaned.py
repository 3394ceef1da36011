"""A leftover that the target does not let go is named in the delivery's record, and holds up no other leftover."""

import pytest

from gridhaul.transfer.model import Delivery, Failure
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, Action, DeliveryState
from tests.delivered import objects_in
from tests.servers.http_store import HttpStore
from tests.tasks.delivery_bench import NAME, Bench

DATA = b"new"
FIRST, SECOND, THIRD = (f".gridhaul-{'c' * 24}-{fence}.part" for fence in (1, 2, 3))
WHY = Failure(code="target_mismatch", detail="Other bytes.")


async def _failed(bench: Bench, to: str, *left: str) -> Delivery:
    """Return a delivery that failed and left these names at its target."""
    delivery = await bench.open(DATA, to)
    taken = await bench.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    assert await bench.deliveries.hold_name(taken.lease, NAME)
    touched = NAME in left
    await bench.deliveries.finish(
        taken.lease, DeliveryState.FAILED, error=WHY, leftovers=left, final_touched=touched, rate=5.0
    )
    return await bench.now(delivery)


def _why(delivery: Delivery) -> str | None:
    return delivery.cleaning_error.code if delivery.cleaning_error else None


async def test_name_that_cannot_be_removed_keeps_no_other_name(bench: Bench, web: HttpStore) -> None:
    delivery = await _failed(bench, "web", FIRST, SECOND, THIRD)
    for name in delivery.leftovers:
        (web.directory / name).write_bytes(DATA)
    web.answers = [(401, {})]
    left = await bench.clean(delivery)
    assert (left.leftovers, _why(left), left.error) == ((FIRST,), "target_refused", WHY)
    assert [path.name for path in web.directory.iterdir()] == [FIRST]
    clean = await bench.clean(delivery)
    assert (clean.leftovers, clean.cleaning_error, clean.error) == ((), None, WHY)
    assert not list(web.directory.iterdir())


async def test_first_of_several_errors_is_kept(bench: Bench, web: HttpStore) -> None:
    delivery = await _failed(bench, "web", FIRST, SECOND)
    web.answers = [(401, {}), (503, {})]
    left = await bench.clean(delivery)
    assert (left.leftovers, _why(left)) == ((FIRST, SECOND), "target_refused")


async def test_final_name_that_is_clean_is_free_although_a_temporary_object_remains(
    bench: Bench, web: HttpStore
) -> None:
    delivery = await _failed(bench, "web", FIRST, NAME)
    (web.directory / NAME).write_bytes(DATA)
    web.answers = [(503, {})]
    left = await bench.clean(delivery)
    assert (left.leftovers, _why(left), left.final_touched) == ((FIRST,), "target_unavailable", False)
    assert bench.row.claimed is None
    assert not (web.directory / NAME).exists()


async def test_name_that_somebody_cleaned_by_hand_is_clean_at_the_next_cleaning(bench: Bench) -> None:
    delivery = await _failed(bench, "disk", FIRST)
    stuck = bench.disk / FIRST
    stuck.mkdir()
    left = await bench.clean(delivery)
    assert left.leftovers == (FIRST,)
    assert left.cleaning_error is not None
    stuck.rmdir()
    clean = await bench.clean(delivery)
    assert (clean.leftovers, clean.cleaning_error, bench.row.next_attempt_at) == ((), None, None)


async def test_delivery_queued_again_forgets_why_it_was_not_cleaned(bench: Bench, web: HttpStore) -> None:
    delivery = await _failed(bench, "web", FIRST)
    web.answers = [(401, {})]
    assert _why(await bench.clean(delivery)) == "target_refused"
    again = await bench.deliveries.move(delivery.id, DELIVERY_MOVES[Action.RETRY])
    assert again is not None
    assert (again.leftovers, again.cleaning_error) == ((FIRST,), None)


async def test_folder_that_somebody_made_under_the_final_name_is_no_leftover(bench: Bench) -> None:
    delivery = await _failed(bench, "disk", NAME)
    (bench.disk / NAME).mkdir()
    clean = await bench.clean(delivery)
    assert (clean.leftovers, clean.cleaning_error, clean.final_touched) == ((), None, False)
    assert [path.name for path in objects_in(bench.disk)] == [NAME]


async def test_object_that_the_target_keeps_is_given_up_and_told(bench: Bench, web: HttpStore) -> None:
    delivery = await _failed(bench, "web", NAME)
    (web.directory / NAME).write_bytes(DATA)
    web.refused_method = "DELETE"
    left = await bench.clean(delivery)
    assert (left.leftovers, _why(left), left.final_touched) == ((), "target_refused", True)
    assert left.cleaning_error is not None
    assert repr(NAME) in left.cleaning_error.detail
    assert (bench.row.claimed, bench.row.next_attempt_at) == (None, None), "the name is free for other deliveries"
    await bench.deliveries.move(delivery.id, DELIVERY_MOVES[Action.RETRY])
    delivered = await bench.attempt(delivery)
    assert (delivered.state, delivered.cleaning_error) == (DeliveryState.DELIVERED, None)


@pytest.mark.parametrize("status", [401, 503])
async def test_rate_and_end_of_the_delivery_stay_when_its_cleaning_fails(
    bench: Bench, web: HttpStore, status: int
) -> None:
    delivery = await _failed(bench, "web", FIRST)
    web.answers = [(status, {})]
    left = await bench.clean(delivery)
    kept = (left.state, left.rate, left.ended_at)
    assert kept == (delivery.state, delivery.rate, delivery.ended_at)
    assert left.cleaning_error is not None
