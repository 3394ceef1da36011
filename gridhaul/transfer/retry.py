"""Decides whether and when to try again. Pure."""

import random
from dataclasses import dataclass

from gridhaul.transfer.errors import GridhaulError

BASE_SECONDS = 1.0
MOST_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TryAgain:
    delay_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class GiveUp:
    pass


def backoff_seconds(attempt: int, *, retry_after_seconds: float | None = None) -> float:
    """Return the seconds to wait after attempt 1, 2, 3 …: exponential with full jitter, at most 300.

    The wait is not shorter than `retry_after_seconds`, unless that is over 300.
    """
    ceiling = min(MOST_SECONDS, BASE_SECONDS * 2.0 ** min(attempt, 16))
    jittered = random.uniform(0, ceiling)  # noqa: S311 - spreads load, guards nothing
    return min(MOST_SECONDS, max(jittered, retry_after_seconds or 0.0))


def decide(error: GridhaulError, *, fruitless_attempts: int, max_attempts: int) -> TryAgain | GiveUp:
    """Return what follows an attempt that ended with `error`.

    `fruitless_attempts` counts consecutive attempts without progress, this attempt included if it made none.
    """
    if not error.retryable or (error.counts and fruitless_attempts >= max_attempts):
        return GiveUp()
    delay = backoff_seconds(max(fruitless_attempts, 1), retry_after_seconds=error.retry_after_seconds)
    return TryAgain(delay_seconds=delay)
