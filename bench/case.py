"""A case of the benchmark, and the bench that it measures on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.alternation import Contestant, alternate
from bench.display import Display
from bench.large_files import Trips, travel
from bench.result import Goal, Outcome, Values
from bench.scale import Scale
from bench.stand import Stand
from gridhaul.embedded.binaries import Binary


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The stand that cases measure on, the amounts of data, and the number of runs."""

    stand: Stand
    scale: Scale
    runs: int
    display: Display

    def alternate(self, contestants: Sequence[Contestant], *, unit: str) -> dict[str, Values]:
        """Measure the contestants in turn, and return the values of each by name."""
        return alternate(contestants, runs=self.runs, settle=self.stand.ours.settle, display=self.display, unit=unit)

    @cached_property
    def trips(self) -> Trips:
        """Return the figures of files of growing size that were stored and delivered, measured once for all cases."""
        return travel(self.stand, self.scale, runs=self.runs, display=self.display)


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    unit: str
    goal: Goal | None
    measure: Callable[[Bench], Outcome]
    stored_mib: Callable[[Scale], int]  # most MiB that the case stores at once: all copies, without the sources
    programs: tuple[Binary, ...] = ()  # that the case needs beside those of every run
