"""The order of changes: positions as text, where a replay and a look begin, and what a reader has seen."""

from datetime import UTC, datetime, timedelta

import pytest

from gridhaul.transfer.changes import (
    OVERLAP,
    Change,
    Kind,
    Position,
    Seen,
    event_position,
    look_start,
    replay_start,
)
from gridhaul.transfer.errors import InvalidValue
from gridhaul.transfer.model import RecordId
from tests.contracts.ports import memory_ports, registered

NOW = datetime(2026, 5, 4, 3, 2, 1, 987_000, tzinfo=UTC)
ONE, TWO = RecordId("1" * 24), RecordId("2" * 24)
SECOND = timedelta(seconds=1)


def test_position_is_written_and_parsed() -> None:
    position = Position.of(NOW, ONE)
    assert str(position) == f"1777863721987-{ONE}"
    assert Position.parse(str(position)) == position
    assert position.time == NOW


@pytest.mark.parametrize("time", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2286, 11, 20, 17, 46, 39, tzinfo=UTC)])
def test_first_and_last_position_are_parsed(time: datetime) -> None:
    position = Position.parse(str(Position.of(time, TWO)))
    assert (position.time, position.record_id) == (time, TWO)


def test_positions_are_ordered_by_time_and_then_by_id() -> None:
    later = NOW + timedelta(milliseconds=1)
    ascending = [Position.of(NOW), Position.of(NOW, ONE), Position.of(NOW, TWO), Position.of(later, ONE)]
    assert sorted([ascending[n] for n in (2, 0, 3, 1)]) == ascending


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "1777863721987",
        f"-{ONE}",
        f"-1-{ONE}",
        f"+1-{ONE}",
        f"1.5-{ONE}",
        f"17778637219870-{ONE}",
        f"1777863721987-{ONE[1:]}",
        f"1777863721987-{ONE}0",
        f"1777863721987-{ONE}\n",
        f" 1777863721987-{ONE}",
        f"١٧٧-{ONE}",
        "1777863721987-" + "A" * 24,
        "1777863721987-" + "g" * 24,
        "\x00",
        "1" * 100_000,
    ],
)
def test_other_text_is_no_position(text: str) -> None:
    with pytest.raises(InvalidValue):
        Position.parse(text)


def test_replay_begins_before_the_last_event_and_never_in_the_future() -> None:
    last = Position.of(NOW - 60 * SECOND, TWO)
    assert replay_start(last, NOW) == Position.of(NOW - 60 * SECOND - OVERLAP)
    assert replay_start(None, NOW) == Position.of(NOW - OVERLAP)
    assert replay_start(Position.of(NOW + 600 * SECOND, TWO), NOW) == Position.of(NOW - OVERLAP)


def test_replay_from_the_first_position_begins_before_all_time() -> None:
    start = replay_start(Position.parse(f"0-{ONE}"), NOW)
    assert start < Position.of(NOW)
    assert start.time == datetime.fromtimestamp(0, UTC) - OVERLAP


def test_look_begins_before_the_end_of_the_last_one() -> None:
    assert look_start(NOW - SECOND, NOW, since=SECOND) == NOW - SECOND - OVERLAP


def test_look_begins_earlier_if_the_clock_of_the_servers_went_back() -> None:
    back = NOW - 60 * SECOND
    assert look_start(NOW, back, since=12 * SECOND) == back - 12 * SECOND - OVERLAP
    ahead = NOW + 60 * SECOND
    assert look_start(NOW, ahead, since=12 * SECOND) == NOW - OVERLAP


def _change(revision: int, *, at: datetime = NOW, record_id: RecordId = ONE) -> Change:
    return Change(kind=Kind.FILE, record_id=record_id, revision=revision, changed_at=at)


def test_change_is_seen_by_record_and_revision() -> None:
    seen = Seen()
    seen.add([_change(1)], from_time=NOW - OVERLAP)
    changes = [_change(1), _change(2), _change(1, record_id=TWO)]
    assert seen.unseen(changes) == changes[1:]


def test_changes_that_no_look_meets_again_are_forgotten() -> None:
    seen = Seen()
    seen.add([_change(n, at=NOW - n * SECOND) for n in range(20)], from_time=NOW - OVERLAP)
    assert len(seen) == 11
    seen.forget_before(NOW - 5 * SECOND)
    assert len(seen) == 6
    assert seen.unseen([_change(5, at=NOW), _change(6, at=NOW)]) == [_change(6, at=NOW)]


async def test_position_of_an_event_is_never_later_than_the_horizon() -> None:
    file = await registered(memory_ports(lease_seconds=60))
    assert file.changed_at is not None
    before, later = file.changed_at - SECOND, file.changed_at + SECOND
    assert event_position(file, later) == Position.of(file.changed_at, file.id)
    assert event_position(file, before) == Position.of(before, file.id)
