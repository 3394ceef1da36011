"""Decides whether and when to try again. Pure."""

import random
from dataclasses import dataclass

from gridhaul.transfer.errors import GridhaulError, Patience

BASE_SECONDS = 1.0
MOST_SECONDS = 300.0
MOST_WAITING_SECONDS = 900.0  # the longest pause of a record that waits for hours
MOST_ENDLESS_SECONDS = 60.0  # the longest pause of a record that waits without end
ATTEMPTS_A_DOUBLING = 5  # of a record that waits without end: its cause often passes within seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class TryAgain:
    delay_seconds: float
    waits: bool  # True: something outside did not allow the attempt, so it does not count as fruitless


@dataclass(frozen=True, kw_only=True, slots=True)
class GiveUp:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How often, and for how long, attempts are repeated."""

    attempts: int  # MAX_ATTEMPTS
    waiting_seconds: float  # RETRY_HOURS in seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """The attempts at a record so far, the latest one included."""

    fruitless: int  # consecutive attempts without progress
    waiting: int  # consecutive attempts that something outside did not allow
    waited_seconds: float  # since the first attempt of `waiting` ended


def backoff_seconds(
    attempt: int, *, retry_after_seconds: float | None = None, most_seconds: float = MOST_SECONDS
) -> float:
    """Return the seconds to wait after attempt 1, 2, 3 …: exponential with full jitter, at most `most_seconds`.

    The wait is not shorter than `retry_after_seconds`, unless that is over `most_seconds`.
    """
    ceiling = min(most_seconds, BASE_SECONDS * 2.0 ** min(attempt, 16))
    jittered = random.uniform(0, ceiling)  # noqa: S311 - spreads load, guards nothing
    return min(most_seconds, max(jittered, retry_after_seconds or 0.0))


def decide(error: GridhaulError, tried: Tried, limits: Limits) -> TryAgain | GiveUp:
    """Return what follows an attempt that ended with `error`."""
    if not error.retryable:
        return GiveUp()
    if error.patience is Patience.HOURS:
        return _wait_for_hours(error, tried, limits)
    if error.patience is Patience.ENDLESS:
        return _wait_without_end(error, tried)
    delay = backoff_seconds(max(tried.fruitless, 1), retry_after_seconds=error.retry_after_seconds)
    return GiveUp() if tried.fruitless >= limits.attempts else TryAgain(delay_seconds=delay, waits=False)


def _wait_for_hours(error: GridhaulError, tried: Tried, limits: Limits) -> TryAgain | GiveUp:
    """Return GiveUp once the time is over; at least as many attempts are made as of any other error."""
    if tried.waiting >= limits.attempts and tried.waited_seconds >= limits.waiting_seconds:
        return GiveUp()
    delay = backoff_seconds(
        tried.waiting, retry_after_seconds=error.retry_after_seconds, most_seconds=MOST_WAITING_SECONDS
    )
    return TryAgain(delay_seconds=delay, waits=True)


def _wait_without_end(error: GridhaulError, tried: Tried) -> TryAgain:
    delay = backoff_seconds(
        1 + tried.waiting // ATTEMPTS_A_DOUBLING,
        retry_after_seconds=error.retry_after_seconds,
        most_seconds=MOST_ENDLESS_SECONDS,
    )
    return TryAgain(delay_seconds=delay, waits=True)
