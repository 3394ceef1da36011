"""The guard: the ratios at which CI fails."""

import pytest

from bench import guard
from bench.catalogue import NAMES
from bench.result import Goal, Outcome
from tests.bench.entries import case, outcome

GUARDED = case(goal=Goal("≥", 0.5))


class Machine:
    """A stand-in for the measurement: it returns the next ratio, and notes how many runs were asked for."""

    def __init__(self, *ratios: float) -> None:
        self._ratios = iter(ratios)
        self.runs: list[int] = []

    def measure(self, runs: int) -> Outcome:
        self.runs.append(runs)
        return outcome([next(self._ratios) * 100], {"GridFS": [100.0]})


def test_ratio_above_the_margin_is_measured_once() -> None:
    machine = Machine(0.7)
    assert guard.judge(GUARDED, machine.measure).holds
    assert machine.runs == [guard.RUNS]


def test_miss_is_measured_again_with_twice_the_runs() -> None:
    machine = Machine(0.4, 0.6)
    assert guard.judge(GUARDED, machine.measure).holds
    assert machine.runs == [guard.RUNS, 2 * guard.RUNS]


def test_second_miss_counts() -> None:
    found = guard.judge(GUARDED, Machine(0.4, 0.45).measure)
    assert not found.holds
    assert str(found) == "ingest: ratio 0.45, guarded ≥ 0.5: missed"


def test_line_of_what_holds_says_so() -> None:
    assert str(guard.judge(GUARDED, Machine(0.7).measure)) == "ingest: ratio 0.7, guarded ≥ 0.5: holds"


def test_guarded_cases_have_their_margins_as_goals() -> None:
    assert {one.name: one.goal for one in guard.guarded_cases()} == {
        name: Goal("≥", margin) for name, margin in guard.MARGINS.items()
    }


@pytest.mark.parametrize("name", sorted(guard.MARGINS))
def test_every_margin_is_of_a_case(name: str) -> None:
    assert name in NAMES
