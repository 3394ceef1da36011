"""A target that is away for hours, in virtual time: the delivery waits for RETRY_HOURS, and not for longer."""

import pytest

from gridhaul.transfer.states import DeliveryState
from tests.contracts.bytes_to_store import some_bytes
from tests.faults.every_call import run_twins
from tests.faults.failing import Faults, Way
from tests.faults.twin_invariants import assert_delivered
from tests.faults.twin_system import Case, TwinSystem

HOUR = 3600.0
PAUSE_SECONDS = 900.0
LOST_AT = 30  # while a target is away, each attempt makes one call of it
CASE = Case(data=some_bytes(5), retry_hours=24)


def away(hours: float, plan: dict[int, Way] | None = None, *, from_call: int = 1) -> Faults:
    return Faults({from_call: Way.AWAY, **(plan or {})}, port="target", away_seconds=hours * HOUR)


@pytest.mark.parametrize("from_call", [1, 2, 3, 4, 5, 6])
def test_delivery_to_a_target_that_is_away_for_a_night_is_done_when_it_is_back(from_call: int) -> None:
    async def story(system: TwinSystem) -> None:
        file_id = await system.prepare()
        await system.rest()
        await assert_delivered(system, file_id)
        waited = (await system.delivery(file_id)).updated_at - (await system.file(file_id)).updated_at
        assert 20 * HOUR <= waited.total_seconds() <= 20 * HOUR + 2 * PAUSE_SECONDS
        assert (await system.delivery(file_id)).attempts < 250

    run_twins(CASE, away(20, from_call=from_call), story)


def test_delivery_to_a_target_that_stays_away_fails_when_its_time_is_over() -> None:
    async def story(system: TwinSystem) -> None:
        file_id = await system.prepare()
        await system.rest()
        delivery = await system.delivery(file_id)
        assert delivery.state is DeliveryState.FAILED
        assert delivery.error is not None
        assert (delivery.error.code, delivery.wait) == ("target_unavailable", None)
        assert delivery.ended_at is not None
        waited = delivery.ended_at - (await system.file(file_id)).updated_at
        assert 24 * HOUR <= waited.total_seconds() <= 24.5 * HOUR

    run_twins(CASE, away(24.5), story)


@pytest.mark.parametrize("way", [Way.WORKER_DIES, Way.STOP])
def test_workers_lost_after_hours_of_waiting_ends_nothing(way: Way) -> None:
    async def story(system: TwinSystem) -> None:
        file_id = await system.prepare()
        await system.rest()
        await assert_delivered(system, file_id)
        assert len(system.faults.calls) > 2 * LOST_AT

    run_twins(CASE, away(20, dict.fromkeys((LOST_AT, LOST_AT + 1), way)), story)
