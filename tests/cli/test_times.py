"""Times as a terminal shows them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from gridhaul.cli.times import attempt_clause, short_time

EAST = timezone(timedelta(hours=2))
NOW = datetime(2026, 11, 21, 14, 0, tzinfo=EAST)


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-11-21T12:03:59Z", "today 14:03"),
        ("2026-11-20T22:00:00Z", "today 00:00"),
        ("2026-11-20T21:59:00.123456Z", "2026-11-20 23:59"),
        ("2026-11-21T22:00:00Z", "2026-11-22 00:00"),
        ("2025-11-21T12:03:00Z", "2025-11-21 14:03"),
    ],
)
def test_time_is_local_and_short(time: str, shown: str) -> None:
    assert short_time(time, now=NOW) == shown


@pytest.mark.parametrize(
    ("seconds", "clause"),
    [(200, "next attempt in 3 min 20 s (14:03)"), (0.5, "next attempt now"), (-60, "next attempt now")],
)
def test_next_attempt_is_told_by_its_delay_and_its_time(seconds: float, clause: str) -> None:
    at = (NOW + timedelta(seconds=seconds)).astimezone(UTC)
    assert attempt_clause(at.isoformat(), now=NOW) == clause
