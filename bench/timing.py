"""Clocks, and waiting for a condition."""

import time
from collections.abc import Callable
from typing import TypeVar

from bench.errors import TransferFailed

T = TypeVar("T")

POLL_SECONDS = 0.1  # asking more often would cost the api what is to be measured
PATIENCE_SECONDS = 1800.0


def timed(action: Callable[[], T]) -> tuple[float, T]:
    """How many seconds it took, and what it gave."""
    begin = time.perf_counter()
    value = action()
    return time.perf_counter() - begin, value


def wait_for(look: Callable[[], T | None], *, what: str, poll_seconds: float = POLL_SECONDS) -> T:
    """The first thing that `look` gives that is not None or False. Raises TransferFailed when it takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found is not None and found is not False:
            return found
        time.sleep(poll_seconds)
    raise TransferFailed(f"Not within {PATIENCE_SECONDS:.0f} s: {what}.")
