"""The ratios that CI guards, at small sizes. They lie far below the usual ratios: only a real loss of speed fails."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.case import Case
from bench.catalogue import choose
from bench.result import Goal, Outcome
from bench.scale import FULL

# The least ratios of Gridhaul's value to the best peer's value.
MARGINS = {"ingest": 0.4, "ingest_parent": 2.0, "egress": 0.3, "small_files": 0.1}
RUNS = 3
SCALE = replace(FULL, file_mib=128, parent_file_mib=32, small_files=200)


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """A case whose goal is its margin, and the case's outcome."""

    case: Case
    outcome: Outcome

    @property
    def holds(self) -> bool:
        return self.case.goal is None or self.case.goal.met_by(self.outcome.ratio)

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "missed"
        return f"{self.case.name}: ratio {self.outcome.ratio:.3g}, guarded {self.case.goal}: {verdict}"


def guarded_cases() -> list[Case]:
    return [replace(case, goal=Goal("≥", MARGINS[case.name])) for case in choose(tuple(MARGINS))]


def judge(case: Case, measure: Callable[[int], Outcome]) -> Guarded:
    """Judge the outcome of `measure`, which takes the number of runs.

    A missed margin is measured again with twice the runs, and the second outcome counts: other load on the machine can
    make a case miss its margin once.
    """
    first = Guarded(case=case, outcome=measure(RUNS))
    return first if first.holds else Guarded(case=case, outcome=measure(2 * RUNS))
