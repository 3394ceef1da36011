"""What CI guards: ratios far below what is reached, at small sizes, so that only a real loss of speed fails."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.case import Case
from bench.catalogue import choose
from bench.result import Goal, Outcome
from bench.scale import FULL

MARGINS = {"ingest": 0.4, "ingest_parent": 2.0, "egress": 0.3, "small_files": 0.1}  # of ours by the peer
RUNS = 3
SCALE = replace(FULL, file_mib=128, parent_file_mib=32, small_files=200)


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """A case whose goal is its margin, and what it has measured."""

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
    """`measure` does so many runs. A miss counts only if it is one with twice as many: others use the machine, too."""
    first = Guarded(case=case, outcome=measure(RUNS))
    return first if first.holds else Guarded(case=case, outcome=measure(2 * RUNS))
