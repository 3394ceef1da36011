"""A B A B: whatever the machine does meanwhile, it does to all of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.display import Display
from bench.result import Values

WARM_UP = 0


@dataclass(frozen=True)
class Contestant:
    """`measure` does it once and gives the value; when it returns, nothing of it is left."""

    name: str
    measure: Callable[[], float]
    warms_up: bool = True  # is done once before anything counts


def turns(contestants: Sequence[Contestant], *, runs: int) -> Iterator[tuple[int, Contestant]]:
    """Each run and who is measured in it: all in turn, first once to warm up."""
    for contestant in contestants:
        if contestant.warms_up:
            yield WARM_UP, contestant
    for run in range(1, runs + 1):
        for contestant in contestants:
            yield run, contestant


def alternate(
    contestants: Sequence[Contestant], *, runs: int, settle: Callable[[], None], display: Display, unit: str
) -> dict[str, Values]:
    """The values of each, without the one that warms up. `settle` comes before every measurement."""
    values: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    planned = list(turns(contestants, runs=runs))
    display.expect(len(planned))
    for run, contestant in planned:
        what = f"{contestant.name}, {_which(run, runs)}"
        display.begins(what)
        settle()
        value = contestant.measure()
        if run != WARM_UP:
            values[contestant.name].append(value)
        display.ends(f"{what}: {value:.4g} {unit}")
    return dict(values)


def _which(run: int, runs: int) -> str:
    return "warming up" if run == WARM_UP else f"run {run} of {runs}"
