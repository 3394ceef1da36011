"""The outcome of a case, and the goal that the outcome is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Values = Sequence[float]


@dataclass(frozen=True)
class Goal:
    relation: Literal["≥", "≤"]
    bound: float

    def met_by(self, value: float) -> bool:
        return value >= self.bound if self.relation == "≥" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:g}"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A further value that a case has measured."""

    what: str
    value: float
    unit: str
    goal: Goal | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Every measured value of a case, in the order of the runs."""

    size: str
    ours: Values
    peers: Mapping[str, Values]
    ours_is: str = "Gridhaul"
    figures: Sequence[Figure] = ()

    @property
    def best_peer(self) -> str:
        """Return the peer with the highest median. A case with several peers measures rates, so the highest is best."""
        return max(self.peers, key=lambda name: median(self.peers[name]))

    @property
    def ours_median(self) -> float:
        return median(self.ours)

    @property
    def peer_median(self) -> float:
        return median(self.peers[self.best_peer])

    @property
    def ratio(self) -> float:
        return self.ours_median / self.peer_median


def spread(values: Values) -> float:
    """Return the difference of the highest and the lowest value, divided by the median."""
    return (max(values) - min(values)) / median(values)


def percentile(values: Values, percent: float) -> float:
    """Return the smallest value that at least `percent` percent of all values do not exceed (nearest rank)."""
    ranked = sorted(values)
    rank = -(-len(ranked) * percent // 100)
    return ranked[max(int(rank), 1) - 1]
