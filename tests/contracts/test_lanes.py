"""The suite of `Lanes`."""

from datetime import UTC, datetime, timedelta

from gridhaul.transfer.batches import Lane, Token
from gridhaul.transfer.model import Hint, Queue, RecordId, TaskName
from tests.contracts.ports import A_BATCH, Ports, eventually

ANOTHER_BATCH = RecordId("d" * 24)
SOON, LATER = timedelta(seconds=0.2), timedelta(hours=1)


async def _woken(ports: Ports, queue: Queue = Queue.SMALL) -> Hint:
    (hint,) = await ports.lanes.wake(A_BATCH, "operator", [queue])
    return hint


async def _taken(ports: Ports, hint: Hint) -> Lane:
    lane = await _take(ports, hint)
    assert lane is not None
    return lane


async def _take(ports: Ports, hint: Hint) -> Lane | None:
    return await ports.lanes.take(Token(hint.record_id))


async def _overlooked(ports: Ports, queue: Queue = Queue.SMALL) -> list[Hint]:
    return [*await ports.agenda.overlooked(queue, 10, seconds=0)]


def _now() -> datetime:
    return datetime.now(UTC)


async def _due(ports: Ports) -> list[Hint]:
    return [*await ports.agenda.due(10)]


async def test_woken_lane_is_taken_by_the_token_of_its_hint(ports: Ports) -> None:
    hint = await _woken(ports)
    lane = await _taken(ports, hint)
    assert (hint.task, hint.queue) == (TaskName.TAKE_DUE, Queue.SMALL)
    assert (lane.batch_id, lane.owner, lane.queue) == (A_BATCH, "operator", Queue.SMALL)
    assert lane.hint != hint


async def test_each_queue_of_a_batch_has_a_lane_of_its_own(ports: Ports) -> None:
    hints = await ports.lanes.wake(A_BATCH, "operator", frozenset({Queue.SMALL, Queue.LARGE}))
    assert {hint.queue for hint in hints} == {Queue.SMALL, Queue.LARGE}
    assert len({hint.record_id for hint in hints}) == 2
    (of_another,) = await ports.lanes.wake(ANOTHER_BATCH, "someone", [Queue.SMALL])
    assert (await _taken(ports, of_another)).batch_id == ANOTHER_BATCH
    assert {(await _taken(ports, hint)).batch_id for hint in hints} == {A_BATCH}


async def test_token_is_answered_once(ports: Ports) -> None:
    hint = await _woken(ports)
    lane = await _taken(ports, hint)
    assert await _take(ports, hint) is None
    assert (await _taken(ports, lane.hint)).token not in (lane.token, hint.record_id)
    assert await _take(ports, lane.hint) is None


async def test_token_that_no_lane_had_is_answered_by_none(ports: Ports) -> None:
    await _woken(ports)
    assert await ports.lanes.take(Token(RecordId("e" * 24))) is None


async def test_messages_that_were_sent_twice_never_become_more_messages(ports: Ports) -> None:
    messages = [await _woken(ports)] * 4
    for _ in range(5):
        answered = [await _take(ports, message) for message in messages]
        messages = [lane.hint for lane in answered if lane is not None] * 4
        assert len({message.record_id for message in messages}) == 1


async def test_wake_keeps_the_token_of_a_message_that_is_on_its_way(ports: Ports) -> None:
    hint = await _woken(ports)
    assert await _woken(ports) == hint
    lane = await _taken(ports, hint)
    assert await _woken(ports) == lane.hint


async def test_lane_that_rests_owes_no_hint_until_it_is_woken(ports: Ports) -> None:
    lane = await _taken(ports, await _woken(ports))
    assert await ports.lanes.rest(lane, None)
    assert not await _due(ports)
    assert not await _overlooked(ports)
    assert await _woken(ports) == lane.hint
    assert await _overlooked(ports) == [lane.hint]


async def test_rest_is_refused_after_a_wake(ports: Ports) -> None:
    lane = await _taken(ports, await _woken(ports))
    await _woken(ports)
    assert not await ports.lanes.rest(lane, None)
    assert await _overlooked(ports) == [lane.hint]
    again = await _taken(ports, lane.hint)
    assert await ports.lanes.rest(again, None)


async def test_rest_is_refused_after_another_took_the_lane(ports: Ports) -> None:
    lane = await _taken(ports, await _woken(ports))
    taken = await _taken(ports, lane.hint)
    assert not await ports.lanes.rest(lane, None)
    assert await _overlooked(ports) == [taken.hint]


async def test_lane_that_rests_until_a_time_is_due_then(ports: Ports) -> None:
    lane, until = await _taken(ports, await _woken(ports)), _now() + SOON
    assert await ports.lanes.rest(lane, until)
    assert not await _overlooked(ports)
    assert await eventually(lambda: _due(ports)) == [lane.hint]
    assert _now() >= until - timedelta(milliseconds=10)
    assert await _overlooked(ports) == [lane.hint]


async def test_lane_owes_the_earlier_of_two_hints(ports: Ports) -> None:
    lane = await _taken(ports, await _woken(ports))
    assert await ports.lanes.rest(lane, _now() + LATER)
    await ports.lanes.owe(lane, _now() - SOON)
    await ports.lanes.owe(lane, _now() + LATER)
    assert await _due(ports) == [lane.hint]


async def test_lane_that_rests_for_good_owes_a_hint_for_a_member_that_was_not_finished(ports: Ports) -> None:
    lane = await _taken(ports, await _woken(ports))
    assert await ports.lanes.rest(await _taken(ports, lane.hint), None)
    await ports.lanes.owe(lane, _now() - SOON)  # by the worker that took the lane before
    (hint,) = await _due(ports)
    assert await _take(ports, hint) is not None


async def test_lane_that_is_hinted_owes_nothing_more(ports: Ports) -> None:
    lane = await _taken(ports, await _woken(ports))
    await ports.lanes.owe(lane, _now() - SOON)
    assert not await _due(ports)
    assert await _overlooked(ports) == [lane.hint]


async def test_woken_lane_is_hinted_now_although_it_rested_for_longer(ports: Ports) -> None:
    lane = await _taken(ports, await _woken(ports))
    assert await ports.lanes.rest(lane, _now() - SOON)
    assert await _woken(ports) == lane.hint
    assert not await _due(ports)
    assert await _overlooked(ports) == [lane.hint]


async def test_dispatcher_repeats_a_lost_message_with_the_same_token(ports: Ports) -> None:
    hint = await _woken(ports)
    assert await ports.agenda.unanswered(Queue.SMALL, 10) == 1
    assert await _overlooked(ports) == [hint]
    assert await _overlooked(ports) == [hint]
    assert not await _overlooked(ports, Queue.LARGE)
    lane = await _taken(ports, hint)
    assert await _overlooked(ports) == [lane.hint]  # the message that the taker sends may be lost, too
