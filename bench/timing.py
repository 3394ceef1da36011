"""Clocks, and waiting for a condition."""

import time
from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

from bench.errors import TransferFailed

T = TypeVar("T")

POLL_SECONDS = 0.02  # each look takes the database half a millisecond
PATIENCE_SECONDS = 1800.0


def timed(action: Callable[[], T]) -> tuple[float, T]:
    """How many seconds it took, and what it gave."""
    begin = perf_counter()
    value = action()
    return perf_counter() - begin, value


def rate(amount: float, do: Callable[[], T], undo: Callable[[T], object]) -> Callable[[], float]:
    """Measures how much of `amount` is done a second. What `do` gave is undone afterwards."""

    def measure() -> float:
        seconds, value = timed(do)
        undo(value)
        return amount / seconds

    return measure


def nothing(_: object) -> None:
    """Undoes what left nothing."""


def wait_for(happened: Callable[[], bool], *, what: str) -> None:
    """Look until it has happened. Raises TransferFailed when it takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if happened():
            return
        time.sleep(POLL_SECONDS)
    raise TransferFailed(f"Not within {PATIENCE_SECONDS:.0f} s: {what}.")
