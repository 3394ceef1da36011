from dataclasses import replace

import pytest

from gridhaul.transfer.errors import (
    ChunkServiceFailed,
    DatabaseUnavailable,
    GridhaulError,
    InternalError,
    ObjectNameBusy,
    SourceChanged,
    SourceUnavailable,
    StorageFull,
    TargetFull,
    TargetInconsistent,
    TargetLocked,
    TargetRefused,
    TargetUnavailable,
    WorkerLost,
)
from gridhaul.transfer.retry import (
    MOST_SECONDS,
    MOST_WAITING_SECONDS,
    GiveUp,
    Limits,
    Tried,
    TryAgain,
    backoff_seconds,
    decide,
)

HOUR = 3600.0
LIMITS = Limits(attempts=5, waiting_seconds=24 * HOUR)
FIRST = Tried(fruitless=1, waiting=1, waited_seconds=0.0)


@pytest.mark.parametrize(
    ("error", "fruitless", "again"),
    [
        (ChunkServiceFailed, 0, True),
        (ChunkServiceFailed, 4, True),
        (ChunkServiceFailed, 5, False),
        (ChunkServiceFailed, 6, False),
        (InternalError, 4, True),
        (InternalError, 5, False),
        (TargetInconsistent, 4, True),
        (TargetInconsistent, 5, False),
        (TargetRefused, 0, False),
        (SourceChanged, 1, False),
        (WorkerLost, 1, False),
        (GridhaulError, 1, False),
    ],
)
def test_fruitless_attempts_are_repeated_up_to_their_limit(
    error: type[GridhaulError], fruitless: int, again: bool
) -> None:
    decision = decide(error("detail"), replace(FIRST, fruitless=fruitless), LIMITS)
    assert isinstance(decision, TryAgain if again else GiveUp)
    assert isinstance(decision, GiveUp) or not decision.waits


@pytest.mark.parametrize("error", [DatabaseUnavailable, StorageFull, ObjectNameBusy])
def test_what_holds_up_everything_is_waited_for_without_end(error: type[GridhaulError]) -> None:
    decision = decide(error("detail"), Tried(fruitless=1, waiting=10**6, waited_seconds=1000 * HOUR), LIMITS)
    assert isinstance(decision, TryAgain)
    assert decision.waits


@pytest.mark.parametrize("error", [TargetUnavailable, TargetFull, TargetLocked, SourceUnavailable])
@pytest.mark.parametrize(
    ("waiting", "waited_hours", "again"),
    [(1, 0, True), (5, 0, True), (1000, 23.9, True), (4, 24, True), (5, 24, False), (1000, 24, False)],
)
def test_what_may_pass_by_itself_is_waited_for_until_the_time_and_the_attempts_are_over(
    error: type[GridhaulError], waiting: int, waited_hours: float, again: bool
) -> None:
    decision = decide(error("detail"), Tried(fruitless=1, waiting=waiting, waited_seconds=waited_hours * HOUR), LIMITS)
    assert isinstance(decision, TryAgain if again else GiveUp)
    assert isinstance(decision, GiveUp) or decision.waits


def test_without_time_to_wait_the_number_of_attempts_decides() -> None:
    limits = replace(LIMITS, waiting_seconds=0)
    decisions = [
        decide(TargetUnavailable("no"), Tried(fruitless=1, waiting=waiting, waited_seconds=0), limits)
        for waiting in range(1, 6)
    ]
    assert [isinstance(decision, GiveUp) for decision in decisions] == [False, False, False, False, True]


@pytest.mark.parametrize(("attempt", "most"), [(1, 2), (2, 4), (3, 8), (8, 256), (9, 300), (10**6, 300)])
def test_backoff_grows_with_the_attempts_up_to_five_minutes(attempt: int, most: float) -> None:
    delays = [backoff_seconds(attempt) for _ in range(500)]
    assert 0 <= min(delays) < most / 4
    assert 3 * most / 4 < max(delays) <= most


def test_backoff_is_never_sooner_than_asked_for_nor_later_than_five_minutes() -> None:
    assert 20 <= backoff_seconds(1, retry_after_seconds=20) <= 20
    assert backoff_seconds(1, retry_after_seconds=86400) == MOST_SECONDS


@pytest.mark.parametrize(("waiting", "most"), [(1, 2), (5, 32), (9, 512), (10, 900), (1000, 900)])
def test_pauses_of_a_record_that_waits_grow_up_to_a_quarter_of_an_hour(waiting: int, most: float) -> None:
    tried = replace(FIRST, waiting=waiting)
    decisions = [decide(TargetUnavailable("no"), tried, LIMITS) for _ in range(500)]
    delays = [decision.delay_seconds for decision in decisions if isinstance(decision, TryAgain)]
    assert 3 * most / 4 < max(delays) <= min(most, MOST_WAITING_SECONDS)


@pytest.mark.parametrize(("waiting", "most"), [(1, 2), (4, 2), (5, 4), (24, 32), (25, 60), (10**6, 60)])
def test_pauses_of_a_record_that_waits_without_end_grow_slowly_up_to_a_minute(waiting: int, most: float) -> None:
    tried = replace(FIRST, waiting=waiting)
    decisions = [decide(ObjectNameBusy("busy"), tried, LIMITS) for _ in range(500)]
    delays = [decision.delay_seconds for decision in decisions if isinstance(decision, TryAgain)]
    assert 3 * most / 4 < max(delays) <= most


def test_delay_asked_for_by_the_error_is_kept() -> None:
    for error in (StorageFull("full", retry_after_seconds=30), TargetUnavailable("later", retry_after_seconds=30)):
        assert decide(error, FIRST, LIMITS) == TryAgain(delay_seconds=30, waits=True)
