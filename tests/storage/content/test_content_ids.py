"""Ids of contents: random first bytes, creation time at the end."""

from datetime import UTC, datetime, timedelta

from bson import ObjectId

from gridhaul.storage.content.content_ids import creation_time, new_content_id
from tests.contracts.content_ids import content_id_of

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


def test_ids_are_objectids_in_form_and_all_different() -> None:
    made = {new_content_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(str(ObjectId(content_id)) == content_id for content_id in made)


def test_ids_spread_over_the_whole_range_in_no_order() -> None:
    made = [new_content_id() for _ in range(1000)]
    assert made != sorted(made)
    assert len({content_id[0] for content_id in made}) == 16


def test_creation_time_is_known_to_the_second() -> None:
    now = datetime.now(UTC)
    age = now - creation_time(ObjectId(new_content_id()), now=now)
    assert timedelta(0) <= age + timedelta(seconds=1) <= timedelta(seconds=5)
    assert creation_time(content_id_of(NOW), now=NOW + timedelta(hours=1)) == NOW


def test_clock_that_is_minutes_ahead_is_believed() -> None:
    ahead = NOW + timedelta(minutes=10)
    assert creation_time(content_id_of(ahead), now=NOW) == ahead


def test_id_as_mongodb_makes_them_has_its_time_in_the_first_bytes() -> None:
    old = ObjectId(ObjectId.from_datetime(NOW - timedelta(days=3)).binary[:4] + b"abcd" + b"\xf0\x00\x00\x01")
    assert creation_time(old, now=NOW) == NOW - timedelta(days=3)
