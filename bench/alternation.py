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


def turns(names: Sequence[str], *, runs: int) -> Iterator[tuple[int, str]]:
    """Each run and who is measured in it: all in turn, first once to warm up."""
    return ((run, name) for run in range(WARM_UP, runs + 1) for name in names)


def alternate(
    contestants: Sequence[Contestant], *, runs: int, settle: Callable[[], None], display: Display, unit: str
) -> dict[str, Values]:
    """The values of each, without the one that warms up. `settle` comes before every measurement."""
    by_name = {contestant.name: contestant for contestant in contestants}
    values: dict[str, list[float]] = {name: [] for name in by_name}
    display.expect(len(by_name) * (runs + 1))
    for run, name in turns(list(by_name), runs=runs):
        display.begins(f"{name}, {_which(run, runs)}")
        settle()
        value = by_name[name].measure()
        if run != WARM_UP:
            values[name].append(value)
        display.ends(f"{name}, {_which(run, runs)}: {value:.4g} {unit}")
    return dict(values)


def _which(run: int, runs: int) -> str:
    return "warming up" if run == WARM_UP else f"run {run} of {runs}"
