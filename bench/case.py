"""What a case is, and what it is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.alternation import Contestant, alternate
from bench.display import Display
from bench.large_files import Trips, travel
from bench.result import Goal, Outcome, Values
from bench.scale import Scale
from bench.stand import Stand


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The stand, and how much is measured how often."""

    stand: Stand
    scale: Scale
    runs: int
    display: Display

    def alternate(self, contestants: Sequence[Contestant], *, unit: str) -> dict[str, Values]:
        """The values of each contestant by name, all measured in turn."""
        return alternate(contestants, runs=self.runs, settle=self.stand.ours.settle, display=self.display, unit=unit)

    @cached_property
    def trips(self) -> Trips:
        """Of files of growing size; made once, for the cases that look at them."""
        return travel(self.stand, self.scale, runs=self.runs, display=self.display)


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    unit: str
    goal: Goal | None
    measure: Callable[[Bench], Outcome]
    stored_mib: Callable[[Scale], int]  # at once, all copies of it, without the sources
