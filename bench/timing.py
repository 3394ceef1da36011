"""Measures times and rates, and waits for conditions."""

import time
from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

from bench.errors import TransferFailed

T = TypeVar("T")

POLL_SECONDS = 0.02  # each poll takes the database half a millisecond
PATIENCE_SECONDS = 1800.0


def timed(action: Callable[[], T]) -> tuple[float, T]:
    """Run the action; return its seconds and its result."""
    begin = perf_counter()
    value = action()
    return perf_counter() - begin, value


def rate(amount: float, do: Callable[[], T], undo: Callable[[T], object]) -> Callable[[], float]:
    """Return a measurement of `do`, in `amount` a second. `undo` gets the result of `do`, and is not timed."""

    def measure() -> float:
        seconds, value = timed(do)
        undo(value)
        return amount / seconds

    return measure


def nothing(_: object) -> None:
    """Undo an action that leaves nothing to undo."""


def wait_for(happened: Callable[[], bool], *, what: str) -> None:
    """Poll until `happened` returns True. Raises TransferFailed after PATIENCE_SECONDS; `what` names the condition."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if happened():
            return
        time.sleep(POLL_SECONDS)
    raise TransferFailed(f"After {PATIENCE_SECONDS:.0f} s this is still not so: {what}.")
