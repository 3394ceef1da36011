import pytest

from gridhaul.transfer.errors import (
    ChunkServiceFailed,
    DatabaseUnavailable,
    GridhaulError,
    InternalError,
    ObjectNameBusy,
    SourceChanged,
    StorageFull,
    TargetRefused,
    TargetUnavailable,
    WorkerLost,
)
from gridhaul.transfer.retry import MOST_SECONDS, GiveUp, TryAgain, backoff_seconds, decide


@pytest.mark.parametrize(
    ("error", "fruitless", "again"),
    [
        (TargetUnavailable, 0, True),
        (TargetUnavailable, 1, True),
        (TargetUnavailable, 4, True),
        (TargetUnavailable, 5, False),
        (TargetUnavailable, 6, False),
        (ChunkServiceFailed, 4, True),
        (ChunkServiceFailed, 5, False),
        (InternalError, 4, True),
        (InternalError, 5, False),
        (TargetRefused, 0, False),
        (SourceChanged, 1, False),
        (WorkerLost, 1, False),
        (GridhaulError, 1, False),
        (DatabaseUnavailable, 1, True),
        (DatabaseUnavailable, 1000, True),
        (StorageFull, 1000, True),
        (ObjectNameBusy, 1000, True),
    ],
)
def test_decision(error: type[GridhaulError], fruitless: int, again: bool) -> None:
    decision = decide(error("detail"), fruitless_attempts=fruitless, max_attempts=5)
    assert isinstance(decision, TryAgain if again else GiveUp)


@pytest.mark.parametrize(("attempt", "most"), [(1, 2), (2, 4), (3, 8), (8, 256), (9, 300), (10**6, 300)])
def test_backoff_grows_with_the_attempts_up_to_five_minutes(attempt: int, most: float) -> None:
    delays = [backoff_seconds(attempt) for _ in range(500)]
    assert 0 <= min(delays) < most / 4
    assert 3 * most / 4 < max(delays) <= most


def test_backoff_is_never_sooner_than_asked_for_nor_later_than_five_minutes() -> None:
    assert 20 <= backoff_seconds(1, retry_after_seconds=20) <= 20
    assert backoff_seconds(1, retry_after_seconds=86400) == MOST_SECONDS


def test_delay_asked_for_by_the_error_is_kept() -> None:
    decision = decide(StorageFull("full", retry_after_seconds=30), fruitless_attempts=1, max_attempts=5)
    assert decision == TryAgain(delay_seconds=30)
