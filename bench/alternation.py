"""Measures contestants in turn (A B A B), so that other load on the machine slows all of them alike."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.display import Display
from bench.result import Values

WARM_UP = 0


@dataclass(frozen=True)
class Contestant:
    """A contestant of a case. `measure` runs once, returns its value, and leaves nothing stored."""

    name: str
    measure: Callable[[], float]
    warms_up: bool = True  # runs once more before the runs that count


def turns(contestants: Sequence[Contestant], *, runs: int) -> Iterator[tuple[int, Contestant]]:
    """Yield the number and the contestant of each run: all contestants in turn, after their warm-ups."""
    for contestant in contestants:
        if contestant.warms_up:
            yield WARM_UP, contestant
    for run in range(1, runs + 1):
        for contestant in contestants:
            yield run, contestant


def alternate(
    contestants: Sequence[Contestant], *, runs: int, settle: Callable[[], None], display: Display, unit: str
) -> dict[str, Values]:
    """Return the values of each contestant by name, without warm-ups. `settle` is called before every run."""
    values: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    planned = list(turns(contestants, runs=runs))
    display.expect(len(planned))
    for run, contestant in planned:
        title = f"{contestant.name}, {_run_name(run, runs)}"
        display.begins(title)
        settle()
        value = contestant.measure()
        if run != WARM_UP:
            values[contestant.name].append(value)
        display.ends(f"{title}: {value:.4g} {unit}")
    return dict(values)


def _run_name(run: int, runs: int) -> str:
    return "warming up" if run == WARM_UP else f"run {run} of {runs}"
