"""The suite of `BatchRegistry` and `RunnableBatches`."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gridhaul.transfer.batches import (
    AT_ITS_END,
    BATCH_MOVES,
    ENDED,
    GO_ON_WITH_MEMBER,
    START_BATCH,
    Batch,
    BatchState,
    Counts,
    Group,
    Plan,
    Position,
    Summary,
)
from gridhaul.transfer.errors import LeaseLost
from gridhaul.transfer.model import Failure, Hint, Queue, RecordId, TaskName
from gridhaul.transfer.states import Action
from tests.contracts.ports import LONG_LEASE_SECONDS, Ports, eventually, new_batch

COUNTS = Counts(
    files={"STORED": Group(count=2, bytes=10), "FAILED": Group(count=1, bytes=2**40)},
    deliveries={"QUEUED": Group(count=2, bytes=10)},
    failures={"source_missing": 1},
    skipped={"link": 3},
    counted_at=datetime(2026, 11, 28, 12, 0, 0, 123000, tzinfo=UTC),
)
SUMMARY = Summary(files=2, bytes=10, sha256sums="ab" * 32)


async def _registered(ports: Ports, *, owner: str = "operator", key: str | None = None) -> Batch:
    batch, _ = await ports.batches.register(new_batch(owner=owner, key=key))
    return batch


async def _claim(ports: Ports, batch_id: RecordId) -> Batch | None:
    return await ports.batches.claim_in_its_state(batch_id, holder="worker")


async def _claimed(ports: Ports, batch_id: RecordId) -> Batch:
    batch = await _claim(ports, batch_id)
    assert batch is not None
    return batch


async def _in_state(ports: Ports, state: BatchState) -> Batch:
    """Register a batch and end its first claim in the state; the batch is due."""
    batch = await _claimed(ports, (await _registered(ports)).id)
    await ports.batches.release(batch.lease, state, delay_seconds=0)
    return await _now(ports, batch)


async def _finished(ports: Ports, state: BatchState = BatchState.DONE) -> Batch:
    batch = await _claimed(ports, (await _registered(ports)).id)
    await ports.batches.finish(batch.lease, state, counts=COUNTS, summary=SUMMARY)
    return await _now(ports, batch)


async def _now(ports: Ports, batch: Batch) -> Batch:
    found = await ports.batches.get(batch.id)
    assert found is not None
    return found


async def _move(ports: Ports, batch: Batch, action: Action) -> Batch | None:
    return await ports.batches.move(batch.id, BATCH_MOVES[action], who="olga", following=action)


async def test_new_batch_has_what_was_asked_for_and_is_to_be_registered(ports: Ports) -> None:
    new = new_batch()
    batch, made = await ports.batches.register(new)
    assert made
    for name in ("owner", "sources", "root_of", "base", "choice", "deliver_to", "if_changed"):
        assert getattr(batch, name) == getattr(new, name)
    assert (batch.state, batch.queue, batch.position) == (
        BatchState.REGISTERING,
        Queue.MAINTENANCE,
        Position(source=0),
    )
    assert (batch.following, batch.counts, batch.summary, batch.ended_at) == (None, None, None, None)
    assert await ports.batches.get(batch.id) == batch


async def test_batch_of_a_dry_run_is_to_be_planned(ports: Ports) -> None:
    batch, _ = await ports.batches.register(replace(new_batch(), dry_run=True))
    assert (batch.state, batch.plan, batch.ended_at) == (BatchState.PLANNING, Plan(), None)
    claimed = await _claimed(ports, batch.id)
    await ports.batches.finish(claimed.lease, BatchState.PLANNED)
    assert (await _now(ports, batch)).ended_at is None
    started = await ports.batches.move(batch.id, START_BATCH)
    assert started is not None
    assert (started.state, started.ended_at) == (BatchState.REGISTERING, None)


async def test_new_batch_was_hinted_by_its_maker_and_can_be_overlooked(ports: Ports) -> None:
    batch = await _registered(ports)
    assert not await ports.agenda.due(10)
    hints = await ports.agenda.overlooked(Queue.MAINTENANCE, 10, seconds=0)
    assert hints == [Hint(task=TaskName.RUN_BATCH, record_id=batch.id, queue=Queue.MAINTENANCE)]


async def test_same_key_of_one_owner_gives_the_same_batch(ports: Ports) -> None:
    batch = await _registered(ports, key="k1")
    assert await ports.batches.register(new_batch(key="k1")) == (batch, False)
    assert await ports.batches.find_by_key("operator", "k1") == batch
    assert (await _registered(ports, owner="someone", key="k1")).id != batch.id
    assert (await _registered(ports, key="k2")).id != batch.id
    assert await ports.batches.find_by_key("operator", "k3") is None


async def test_batches_without_a_key_are_different(ports: Ports) -> None:
    assert (await _registered(ports)).id != (await _registered(ports)).id


async def test_unknown_batch_is_none(ports: Ports) -> None:
    unknown = RecordId("e" * 24)
    assert await ports.batches.get(unknown) is None
    assert await _claim(ports, unknown) is None
    assert await ports.batches.move(unknown, BATCH_MOVES[Action.CANCEL]) is None
    assert not await ports.batches.look_soon(unknown)


async def test_pages_have_the_batches_of_owner_and_states_newest_first(ports: Ports) -> None:
    first, done, last = [await _registered(ports) for _ in range(3)]
    other = await _registered(ports, owner="someone")
    await ports.batches.finish((await _claimed(ports, done.id)).lease, BatchState.DONE)

    async def ids(owner: str | None = "operator", *, before: Batch | None = None, limit: int = 10) -> list[RecordId]:
        page = await ports.batches.page(
            owner=owner, states=(), limit=limit, before=before.id if before is not None else None
        )
        assert not any(batch.history for batch in page)
        return [batch.id for batch in page]

    assert await ids() == [last.id, done.id, first.id]
    assert await ids(None) == [other.id, last.id, done.id, first.id]
    assert await ids(before=last, limit=1) == [done.id]
    (found,) = await ports.batches.page(owner="operator", states={BatchState.DONE}, limit=10, before=None)
    assert found.id == done.id
    states = {BatchState.DONE, BatchState.REGISTERING}
    everything = await ports.batches.page(owner=None, states=states, limit=10, before=None)
    assert [batch.id for batch in everything] == [other.id, last.id, done.id, first.id]


async def test_open_batches_of_an_owner_are_counted_up_to_the_limit(ports: Ports) -> None:
    for _ in range(3):
        await _registered(ports)
    await _registered(ports, owner="someone")
    await _finished(ports)
    assert [await ports.batches.count_open("operator", limit=limit) for limit in (10, 2, 0)] == [3, 2, 0]


@pytest.mark.parametrize("state", BatchState)
async def test_claim_in_its_state_leaves_the_state_and_the_history(ports: Ports, state: BatchState) -> None:
    before = await _in_state(ports, state)
    claimed = await _claimed(ports, before.id)
    assert claimed.state is state
    assert claimed.fence == before.fence + 1
    assert claimed.fruitless_attempts == before.fruitless_attempts + 1
    after = await _now(ports, claimed)
    assert after == claimed
    assert after.history == before.history


async def test_claimed_batch_can_not_be_claimed_again_until_its_lease_ends(short_leases: Ports) -> None:
    first = await _claimed(short_leases, (await _registered(short_leases)).id)
    assert await _claim(short_leases, first.id) is None
    second = await eventually(lambda: _claim(short_leases, first.id))
    assert second is not None
    with pytest.raises(LeaseLost):
        await short_leases.batches.renew(first.lease, excluded=5)


async def test_batch_at_rest_can_not_be_claimed(ports: Ports) -> None:
    done = await _finished(ports)
    assert await _claim(ports, done.id) is None
    assert await _now(ports, done) == done


async def test_batch_that_waits_can_not_be_claimed_before_its_time(ports: Ports) -> None:
    batch = await _claimed(ports, (await _registered(ports)).id)
    await ports.batches.release(batch.lease, BatchState.RUNNING, delay_seconds=60)
    assert await _claim(ports, batch.id) is None


async def test_progress_of_registering_is_kept(ports: Ports) -> None:
    batch = await _claimed(ports, (await _registered(ports)).id)
    position = Position(source=0, after="/srv/run/é \n.h5")
    await ports.batches.renew(batch.lease, position=position, excluded=7)
    now = await _now(ports, batch)
    assert (now.position, now.excluded) == (position, 7)
    full, away = Failure(code="quota_exceeded", detail="Full."), Failure(code="database_unavailable", detail="Away.")
    changes = {"position": None, "ended_early": full, "error": away}
    await ports.batches.release(batch.lease, BatchState.RUNNING, delay_seconds=0, **changes)
    now = await _now(ports, batch)
    assert (now.state, now.position, now.ended_early, now.error) == (BatchState.RUNNING, None, full, away)
    claimed = await _claimed(ports, batch.id)
    assert (claimed.ended_early, claimed.error) == (full, away)
    await ports.batches.finish(claimed.lease, BatchState.DONE, error=None)
    going_on = await ports.batches.move(batch.id, GO_ON_WITH_MEMBER)
    assert going_on is not None
    assert (going_on.ended_early, going_on.error) == (full, None)


async def test_finished_batch_has_counts_summary_and_its_end(ports: Ports) -> None:
    done = await _finished(ports)
    assert (done.state, done.counts, done.summary) == (BatchState.DONE, COUNTS, SUMMARY)
    assert done.ended_at is not None
    assert done.next_attempt_at is None
    assert not await ports.agenda.due(10)


async def test_noted_counts_are_written_whoever_holds_the_batch(ports: Ports) -> None:
    batch = await _claimed(ports, (await _registered(ports)).id)
    await ports.batches.note_counts(batch.id, COUNTS)
    assert await _now(ports, batch) == replace(batch, counts=COUNTS)
    await ports.batches.renew(batch.lease)


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("state", BatchState)
async def test_operators_action_makes_its_move_or_none(ports: Ports, state: BatchState, action: Action) -> None:
    before, move = await _in_state(ports, state), BATCH_MOVES[action]
    moved = await _move(ports, before, action)
    if state not in move.from_states:
        assert moved is None
        assert await _now(ports, before) == before
        return
    assert moved is not None
    assert (moved.state, moved.following) == (move.to_state, action)
    assert moved.fence == before.fence + 1
    assert (moved.ended_at is not None) == (moved.state in ENDED | AT_ITS_END)
    event = (await _now(ports, moved)).history[-1]
    assert (event.state, event.who) == (move.to_state, "olga")
    assert await _claim(ports, before.id) is not None  # a worker lets the members follow


async def test_action_takes_the_batch_from_its_worker(ports: Ports) -> None:
    batch = await _claimed(ports, (await _registered(ports)).id)
    assert await _move(ports, batch, Action.PAUSE) is not None
    with pytest.raises(LeaseLost):
        await ports.batches.renew(batch.lease, excluded=5)
    following = await _claimed(ports, batch.id)
    assert following.following is Action.PAUSE
    await ports.batches.finish(following.lease, BatchState.PAUSED, following=None)
    assert (await _now(ports, batch)).following is None
    assert await _claim(ports, batch.id) is None


@pytest.mark.parametrize("action", [Action.CANCEL, Action.RESUME])
async def test_action_knows_until_when_the_worker_of_the_action_before_may_work(ports: Ports, action: Action) -> None:
    assert await _move(ports, await _registered(ports), Action.PAUSE) is not None
    (batch,) = await ports.batches.page(owner=None, states=(), limit=10, before=None)
    pausing = await _claimed(ports, batch.id)
    assert pausing.rival_seconds == 0
    assert await _move(ports, pausing, action) is not None
    assert 0 < (await _claimed(ports, batch.id)).rival_seconds <= LONG_LEASE_SECONDS


async def test_action_has_no_rival_if_no_worker_let_the_members_follow(ports: Ports) -> None:
    registering = await _claimed(ports, (await _registered(ports)).id)
    paused = await _move(ports, registering, Action.PAUSE)
    assert paused is not None
    assert await _move(ports, paused, Action.RESUME) is not None
    assert (await _claimed(ports, paused.id)).rival_seconds == 0


async def test_batch_does_not_go_on_with_a_member_while_members_follow_a_cancel(ports: Ports) -> None:
    cancelled = await _move(ports, await _registered(ports), Action.CANCEL)
    assert cancelled is not None
    assert await ports.batches.move(cancelled.id, GO_ON_WITH_MEMBER) is None
    following = await _claimed(ports, cancelled.id)
    await ports.batches.finish(following.lease, BatchState.CANCELLED, following=None)
    moved = await ports.batches.move(cancelled.id, GO_ON_WITH_MEMBER)
    assert moved is not None
    assert moved.state is BatchState.RUNNING


async def test_end_of_a_cancelled_batch_stays_when_its_members_have_followed(ports: Ports) -> None:
    cancelled = await _move(ports, await _registered(ports), Action.CANCEL)
    assert cancelled is not None
    following = await _claimed(ports, cancelled.id)
    await ports.batches.finish(following.lease, BatchState.CANCELLED, following=None, counts=COUNTS)
    assert (await _now(ports, cancelled)).ended_at == cancelled.ended_at


async def test_batch_that_is_retried_has_not_ended(ports: Ports) -> None:
    retried = await _move(ports, await _finished(ports), Action.RETRY)
    assert retried is not None
    assert retried.ended_at is None
    batch = await _claimed(ports, retried.id)
    await ports.batches.finish(batch.lease, BatchState.DONE)
    assert (await _now(ports, batch)).ended_at is not None


async def test_running_batch_looks_soon_unless_a_worker_holds_it(ports: Ports) -> None:
    batch = await _claimed(ports, (await _registered(ports)).id)
    await ports.batches.release(batch.lease, BatchState.RUNNING, delay_seconds=60)
    assert await ports.batches.look_soon(batch.id)
    looking = await _claimed(ports, batch.id)
    assert not await ports.batches.look_soon(batch.id)
    await ports.batches.renew(looking.lease)


@pytest.mark.parametrize("state", sorted({*BatchState} - {BatchState.RUNNING}))
async def test_batch_that_does_not_run_has_nothing_to_look_for(ports: Ports, state: BatchState) -> None:
    batch = await _claimed(ports, (await _registered(ports)).id)
    await ports.batches.finish(batch.lease, state)
    assert not await ports.batches.look_soon(batch.id)
    assert await _claim(ports, batch.id) is None


async def test_hint_is_owed_when_the_lease_of_a_batch_ends(short_leases: Ports) -> None:
    batch = await _claimed(short_leases, (await _registered(short_leases)).id)
    hints = await eventually(lambda: short_leases.agenda.due(10))
    assert hints == [Hint(task=TaskName.RUN_BATCH, record_id=batch.id, queue=Queue.MAINTENANCE)]
