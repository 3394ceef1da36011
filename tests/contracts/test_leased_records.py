"""The suite of `LeasedRecords`, run with files and with deliveries."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pytest

from gridhaul.transfer.errors import LeaseLost, Patience
from gridhaul.transfer.model import Delivery, Failure, File, Lease, Queue, RecordId
from gridhaul.transfer.ports.leasing import LeasedRecords, MovableRecords
from gridhaul.transfer.states import (
    DELIVERABLE,
    DELIVERY_MOVES,
    FILE_MOVES,
    STORABLE,
    Action,
    DeliveryState,
    FileState,
    Move,
)
from tests.contracts.ports import (
    SHORT_LEASE_SECONDS,
    Ports,
    destination,
    eventually,
    new_delivery,
    registered,
)

FAILURE = Failure(code="target_unavailable", detail="It does not answer.")


class Records(LeasedRecords[File | Delivery, Any], MovableRecords[File | Delivery, Any], Protocol):
    """Records as workers and operators use them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A record that waits for its first claim."""

    records: Records
    id: RecordId
    from_states: frozenset[Any]
    waiting: Any
    working: Any
    done: Any
    moves: Mapping[Action, Move[Any]]

    async def move(self, action: Action, **changes: Any) -> File | Delivery | None:
        return await self.records.move(self.id, self.moves[action], **changes)

    async def claim(self, holder: str = "worker") -> File | Delivery | None:
        return await self.records.claim(self.id, holder=holder, from_states=self.from_states, to_state=self.working)

    async def claimed(self) -> File | Delivery:
        record = await self.claim()
        assert record is not None
        return record

    async def now(self) -> File | Delivery:
        record = await self.records.get(self.id)
        assert record is not None
        return record


Make = Callable[[Ports], Awaitable[Waiting]]


async def _file(ports: Ports) -> Waiting:
    file = await registered(ports)
    return Waiting(
        records=ports.files,
        id=file.id,
        from_states=STORABLE,
        waiting=FileState.REGISTERED,
        working=FileState.STORING,
        done=FileState.STORED,
        moves=FILE_MOVES,
    )


async def _delivery(ports: Ports) -> Waiting:
    delivery, _ = await ports.deliveries.open(new_delivery(destination()))
    return Waiting(
        records=ports.deliveries,
        id=delivery.id,
        from_states=DELIVERABLE,
        waiting=DeliveryState.QUEUED,
        working=DeliveryState.STREAMING,
        done=DeliveryState.DELIVERED,
        moves=DELIVERY_MOVES,
    )


@pytest.fixture(params=[_file, _delivery], ids=["file", "delivery"])
def make(request: pytest.FixtureRequest) -> Make:
    make: Make = request.param
    return make


async def test_first_claim_gives_fence_one_and_counts_the_attempt(ports: Ports, make: Make) -> None:
    one = await make(ports)
    record = await one.claimed()
    assert (record.state, record.fence, record.attempts, record.fruitless_attempts) == (one.working, 1, 1, 1)
    assert record == await one.now()


async def test_leased_record_can_not_be_claimed(ports: Ports, make: Make) -> None:
    one = await make(ports)
    await one.claimed()
    assert await one.claim("another") is None


async def test_of_many_claims_at_once_one_wins(ports: Ports, make: Make) -> None:
    one = await make(ports)
    answers = await asyncio.gather(*(one.claim(f"worker {number}") for number in range(20)))
    assert [record.fence for record in answers if record is not None] == [1]


async def test_record_in_another_state_can_not_be_claimed(ports: Ports, make: Make) -> None:
    one = await make(ports)
    states = one.from_states - {one.waiting}
    assert await one.records.claim(one.id, holder="worker", from_states=states, to_state=one.working) is None
    assert (await one.now()).fence == 0


async def test_unknown_record_is_none_and_its_lease_lost(ports: Ports, make: Make) -> None:
    one = await make(ports)
    unknown = RecordId("f" * 24)
    assert await one.records.get(unknown) is None
    assert await one.records.claim(unknown, holder="w", from_states=one.from_states, to_state=one.working) is None
    with pytest.raises(LeaseLost):
        await one.records.renew(Lease(record_id=unknown, fence=0))


async def test_record_never_claimed_has_no_lease_to_renew(ports: Ports, make: Make) -> None:
    one = await make(ports)
    with pytest.raises(LeaseLost):
        await one.records.renew((await one.now()).lease)


async def test_record_can_be_claimed_with_the_next_fence_once_its_lease_ran_out(
    short_leases: Ports, make: Make
) -> None:
    one = await make(short_leases)
    await one.claimed()
    record = await eventually(one.claim)
    assert record is not None
    assert (record.fence, record.attempts) == (2, 2)


async def test_stale_holder_is_told_and_changes_nothing(short_leases: Ports, make: Make) -> None:
    one = await make(short_leases)
    stale = (await one.claimed()).lease
    await eventually(one.claim)
    before = await one.now()
    with pytest.raises(LeaseLost):
        await one.records.renew(stale, rate=1.0)
    with pytest.raises(LeaseLost):
        await one.records.release(stale, one.waiting, delay_seconds=0, error=FAILURE)
    with pytest.raises(LeaseLost):
        await one.records.finish(stale, one.done, error=FAILURE)
    assert await one.now() == before


async def test_lease_that_ran_out_but_was_taken_by_nobody_still_counts(short_leases: Ports, make: Make) -> None:
    one = await make(short_leases)
    lease = (await one.claimed()).lease
    await eventually(lambda: short_leases.agenda.due(10))
    await one.records.renew(lease, rate=2.0)
    assert (await one.now()).rate == 2.0


async def test_renewing_keeps_others_out(short_leases: Ports, make: Make) -> None:
    one = await make(short_leases)
    lease = (await one.claimed()).lease
    claimed_at = renewed_at = time.monotonic()
    while renewed_at < claimed_at + 1.5 * SHORT_LEASE_SECONDS:
        renewed_at = time.monotonic()
        await one.records.renew(lease)
        taken = await one.claim("another")
        assert taken is None or time.monotonic() > renewed_at + SHORT_LEASE_SECONDS
        if taken:  # the machine stood still for longer than the lease, so the claim was right
            return
        await asyncio.sleep(0.02)


async def test_renewing_changes_fields(ports: Ports, make: Make) -> None:
    one = await make(ports)
    await one.records.renew((await one.claimed()).lease, rate=12.5, fruitless_attempts=0)
    record = await one.now()
    assert (record.rate, record.fruitless_attempts, record.state) == (12.5, 0, one.working)


async def test_released_record_is_claimable_after_its_delay_and_not_before(ports: Ports, make: Make) -> None:
    one = await make(ports)
    lease = (await one.claimed()).lease
    released_at = time.monotonic()
    await one.records.release(lease, one.waiting, delay_seconds=0.15)
    assert (await one.now()).state == one.waiting
    record = await eventually(one.claim)
    assert time.monotonic() - released_at >= 0.14  # 10 ms less, because the server's clock counts milliseconds
    assert record is not None
    assert record.fence == 2


async def test_released_lease_can_not_be_used_again(ports: Ports, make: Make) -> None:
    one = await make(ports)
    lease = (await one.claimed()).lease
    await one.records.release(lease, one.waiting, delay_seconds=0)
    with pytest.raises(LeaseLost):
        await one.records.finish(lease, one.done)


async def test_finished_record_can_neither_be_claimed_nor_renewed(ports: Ports, make: Make) -> None:
    one = await make(ports)
    lease = (await one.claimed()).lease
    await one.records.finish(lease, one.done)
    assert await one.claim() is None
    with pytest.raises(LeaseLost):
        await one.records.renew(lease)
    with pytest.raises(LeaseLost):
        await one.records.release(lease, one.waiting, delay_seconds=0)
    assert (await one.now()).state == one.done


async def test_waiting_attempts_are_counted_from_the_first_one_on(ports: Ports, make: Make) -> None:
    one = await make(ports)
    began = None
    for attempts in (1, 2, 3):
        record = await one.claimed()
        await one.records.wait(record.lease, one.waiting, patience=Patience.HOURS, delay_seconds=0, error=FAILURE)
        after = await one.now()
        assert after.wait is not None
        assert (after.state, after.error, after.wait.attempts) == (one.waiting, FAILURE, attempts)
        began = began or after.wait.since
        assert after.wait.since == began <= after.updated_at
        await eventually(lambda: ports.agenda.due(10))


async def test_wait_that_the_same_write_ends_begins_anew(ports: Ports, make: Make) -> None:
    one = await make(ports)
    await one.records.wait((await one.claimed()).lease, one.waiting, patience=Patience.HOURS, delay_seconds=0)
    record = await eventually(one.claim)
    assert record is not None
    assert record.wait is not None
    await one.records.wait(record.lease, one.waiting, patience=Patience.HOURS, delay_seconds=0, wait=None)
    after = await one.now()
    assert after.wait is not None
    assert (after.wait.attempts, after.wait.since >= record.updated_at) == (1, True)


async def test_attempt_of_another_patience_begins_another_wait(ports: Ports, make: Make) -> None:
    one = await make(ports)
    await one.records.wait((await one.claimed()).lease, one.waiting, patience=Patience.ENDLESS, delay_seconds=0)
    record = await eventually(one.claim)
    assert record is not None
    await one.records.wait(record.lease, one.waiting, patience=Patience.HOURS, delay_seconds=0)
    after = await one.now()
    assert after.wait is not None
    assert (after.wait.attempts, after.wait.patience) == (1, Patience.HOURS)
    assert after.wait.since >= record.updated_at


async def test_record_waits_no_more_once_it_is_finished_or_moved(ports: Ports, make: Make) -> None:
    one = await make(ports)
    await one.records.wait((await one.claimed()).lease, one.waiting, patience=Patience.HOURS, delay_seconds=0)
    assert (await one.now()).wait is not None
    await one.move(Action.PAUSE)
    assert (await one.now()).wait is None
    await one.move(Action.RESUME)
    await one.records.wait((await one.claimed()).lease, one.waiting, patience=Patience.HOURS, delay_seconds=0)
    record = await eventually(one.claim)
    assert record is not None
    await one.records.finish(record.lease, one.done)
    assert (await one.now()).wait is None


async def test_stale_holder_cannot_let_the_record_wait(short_leases: Ports, make: Make) -> None:
    one = await make(short_leases)
    stale = (await one.claimed()).lease
    await eventually(one.claim)
    with pytest.raises(LeaseLost):
        await one.records.wait(stale, one.waiting, patience=Patience.HOURS, delay_seconds=0)
    assert (await one.now()).wait is None


async def test_time_of_the_next_attempt_is_in_the_record(ports: Ports, make: Make) -> None:
    one = await make(ports)
    await one.records.wait((await one.claimed()).lease, one.waiting, patience=Patience.HOURS, delay_seconds=60)
    after = await one.now()
    assert after.next_attempt_at is not None
    assert 59 <= (after.next_attempt_at - after.updated_at).total_seconds() <= 61
    await one.move(Action.CANCEL)
    assert (await one.now()).next_attempt_at is None


async def test_hurried_record_is_due_at_once_and_keeps_its_wait(ports: Ports, make: Make) -> None:
    one = await make(ports)
    await one.records.wait(
        (await one.claimed()).lease, one.waiting, patience=Patience.HOURS, delay_seconds=60, error=FAILURE
    )
    before = await one.now()
    hurried = await one.records.hurry(one.id)
    assert hurried is not None
    assert hurried == await one.now()
    assert (hurried.state, hurried.fence, hurried.wait) == (one.waiting, before.fence, before.wait)
    (hint,) = await ports.agenda.overlooked(Queue.SMALL, 10, seconds=0)
    assert hint.record_id == one.id
    assert await one.claim() is not None


async def test_only_a_record_that_waits_for_later_can_be_hurried(ports: Ports, make: Make) -> None:
    one = await make(ports)
    assert await one.records.hurry(RecordId("f" * 24)) is None
    before = await one.now()
    assert await one.records.hurry(one.id) is None
    assert await one.now() == before
    record = await one.claimed()
    assert await one.records.hurry(one.id) is None
    await one.records.finish(record.lease, one.done)
    assert await one.records.hurry(one.id) is None


async def test_claim_clears_error_and_rate(ports: Ports, make: Make) -> None:
    one = await make(ports)
    lease = (await one.claimed()).lease
    await one.records.release(lease, one.waiting, delay_seconds=0, error=FAILURE)
    assert (await one.now()).error == FAILURE
    record = await eventually(one.claim)
    assert record is not None
    assert (record.error, record.rate) == (None, None)


async def test_fruitless_attempts_count_until_one_brings_something(ports: Ports, make: Make) -> None:
    one = await make(ports)
    for expected in (1, 2, 3):
        record = await eventually(one.claim)
        assert record is not None
        assert record.fruitless_attempts == expected
        await one.records.release(record.lease, one.waiting, delay_seconds=0)
    record = await eventually(one.claim)
    assert record is not None
    await one.records.release(record.lease, one.waiting, delay_seconds=0, fruitless_attempts=0)
    record = await eventually(one.claim)
    assert record is not None
    assert (record.attempts, record.fruitless_attempts) == (5, 1)


@pytest.mark.parametrize("text", ["$name", "$$NOW", "$$REMOVE", "$", "a.b", "{$add: 1}"])
async def test_text_that_looks_like_an_expression_is_kept_as_it_is(ports: Ports, make: Make, text: str) -> None:
    one = await make(ports)
    record = await one.claim(holder=text)
    assert record is not None
    failure = Failure(code=text, detail=text)
    await one.records.release(record.lease, one.waiting, delay_seconds=60, error=failure)
    assert (await one.now()).error == failure


async def test_holder_is_told_by_a_look_once_it_holds_the_record_no_longer(short_leases: Ports, make: Make) -> None:
    one = await make(short_leases)
    stale = (await one.claimed()).lease
    await one.records.require(stale)
    before = await one.now()
    await eventually(one.claim)
    with pytest.raises(LeaseLost):
        await one.records.require(stale)
    assert before.fence == stale.fence


@pytest.mark.parametrize("action", [Action.CANCEL, Action.PAUSE])
async def test_record_moved_away_is_lost_to_its_worker_and_at_rest(ports: Ports, make: Make, action: Action) -> None:
    one = await make(ports)
    record = await one.claimed()
    moved = await one.move(action)
    assert moved is not None
    assert moved == await one.now()
    assert (moved.state, moved.fence, moved.error) == (one.moves[action].to_state, record.fence + 1, None)
    for lost in (
        one.records.require(record.lease),
        one.records.renew(record.lease, state=one.working),
        one.records.release(record.lease, one.waiting, delay_seconds=0),
        one.records.finish(record.lease, one.done),
    ):
        with pytest.raises(LeaseLost):
            await lost
    assert await one.now() == moved
    assert await one.claim() is None
    assert not await ports.agenda.due(10)
    assert not await ports.agenda.overlooked(Queue.SMALL, 10, seconds=0)


@pytest.mark.parametrize(
    ("first", "then"), [(Action.PAUSE, Action.RESUME), (Action.CANCEL, Action.RETRY), (None, Action.RETRY)]
)
async def test_record_moved_back_is_due_at_once_and_hinted_by_who_asked(
    ports: Ports, make: Make, first: Action | None, then: Action
) -> None:
    one = await make(ports)
    record = await one.claimed()
    if first is None:
        failed = next(iter(one.moves[Action.RETRY].from_states - {one.moves[Action.CANCEL].to_state}))
        await one.records.finish(record.lease, failed, error=FAILURE, fruitless_attempts=4)
    else:
        await one.move(first)
    moved = await one.move(then)
    assert moved is not None
    assert (moved.state, moved.error, moved.fruitless_attempts) == (one.waiting, None, 0)
    (hint,) = await ports.agenda.overlooked(Queue.SMALL, 10, seconds=0)
    assert hint.record_id == one.id
    again = await one.claimed()
    assert again.fence > record.fence
    assert again.fruitless_attempts == 1


async def test_record_waiting_for_its_delay_is_due_at_once_after_pause_and_resume(ports: Ports, make: Make) -> None:
    one = await make(ports)
    await one.records.release((await one.claimed()).lease, one.waiting, delay_seconds=60, error=FAILURE)
    await one.move(Action.PAUSE)
    await one.move(Action.RESUME)
    assert await one.claim() is not None


async def test_each_action_moves_from_its_states_alone(ports: Ports, make: Make) -> None:
    one = await make(ports)
    lease = (await one.claimed()).lease
    for state in type(one.waiting):
        for action, move in one.moves.items():
            await one.records.renew(lease, state=state)
            moved = await one.move(action)
            assert (moved is not None) == (state in move.from_states), (state, action)
            if moved is not None:
                one = await make_another(ports, one)
                lease = (await one.claimed()).lease


async def make_another(ports: Ports, one: Waiting) -> Waiting:
    """Make another record of the same kind."""
    if one.moves is FILE_MOVES:
        return await _file(ports)
    to = destination(object_name=f"run-{await one.now()}"[:200])
    delivery, _ = await ports.deliveries.open(new_delivery(to))
    return replace(one, id=delivery.id)


async def test_of_many_moves_at_once_one_is_made(ports: Ports, make: Make) -> None:
    one = await make(ports)
    answers = await asyncio.gather(*(one.move(Action.CANCEL) for _ in range(20)))
    assert sum(answer is not None for answer in answers) == 1
    assert (await one.now()).fence == 1


async def test_move_changes_fields(ports: Ports, make: Make) -> None:
    one = await make(ports)
    await one.move(Action.CANCEL)
    moved = await one.move(Action.RETRY, queue=Queue.LARGE)
    assert moved is not None
    assert moved.queue is Queue.LARGE
    assert await ports.agenda.unanswered(Queue.LARGE, 10) == 1


async def test_unknown_record_can_not_be_moved(ports: Ports, make: Make) -> None:
    one = await make(ports)
    assert await one.records.move(RecordId("f" * 24), one.moves[Action.CANCEL]) is None
