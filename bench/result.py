"""What a case has measured, and the goal it is held against."""

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
    """One more thing that a case has measured."""

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
        """By its median. What has several peers is a rate."""
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
    """How far apart the least and the most are, as a part of the median."""
    return (max(values) - min(values)) / median(values)


def percentile(values: Values, percent: float) -> float:
    """The smallest value that so many percent of all do not exceed (nearest rank)."""
    ranked = sorted(values)
    rank = -(-len(ranked) * percent // 100)
    return ranked[max(int(rank), 1) - 1]
