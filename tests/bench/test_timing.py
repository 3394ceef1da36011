"""`rate`: the time that counts as the time of a transfer."""

import pytest

from bench import timing
from bench.timing import rate


class Clock:
    """A clock that stands still until a test changes `now`."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rate_is_of_what_is_done_and_not_of_undoing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(timing, "perf_counter", clock)
    undone: list[str] = []

    def do() -> str:
        clock.now += 4
        return "what was done"

    def undo(value: str) -> None:
        clock.now += 60
        undone.append(value)

    assert rate(1000, do, undo)() == 250
    assert undone == ["what was done"]
