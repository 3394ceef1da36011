"""Reads and writes `latest.json`, the last results of each case."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NotRequired, TypedDict

from bench.case import Case
from bench.machine import Machine
from bench.result import Figure, Outcome

DIGITS = 4


class FigureEntry(TypedDict):
    what: str
    value: float
    unit: str
    goal: NotRequired[str]
    reached: NotRequired[bool]


class Entry(TypedDict):
    ours: float
    peer: float
    ratio: float
    unit: str
    goal: str | None
    reached: bool | None
    ours_is: str
    best_peer: str
    peers: dict[str, float]
    runs: dict[str, list[float]]
    figures: list[FigureEntry]
    size: str
    settings: dict[str, str]
    machine: Machine
    measured_at: str


Entries = dict[str, Entry]


def entry_of(case: Case, outcome: Outcome, *, settings: Mapping[str, str], machine: Machine) -> Entry:
    return {
        "ours": rounded(outcome.ours_median),
        "peer": rounded(outcome.peer_median),
        "ratio": rounded(outcome.ratio),
        "unit": case.unit,
        "goal": str(case.goal) if case.goal else None,
        "reached": case.goal.met_by(outcome.ratio) if case.goal else None,
        "ours_is": outcome.ours_is,
        "best_peer": outcome.best_peer,
        "peers": {name: rounded(median(values)) for name, values in outcome.peers.items()},
        "runs": {name: [*map(rounded, values)] for name, values in {"ours": outcome.ours, **outcome.peers}.items()},
        "figures": [_figure(figure) for figure in outcome.figures],
        "size": outcome.size,
        "settings": dict(settings),
        "machine": machine,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def read(path: Path) -> Entries:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def merged(before: Entries, now: Entries, *, order: Sequence[str]) -> Entries:
    """Return all entries in the given order; entries of `now` replace those of `before`. Unnamed cases are left out."""
    both = before | now
    return {name: both[name] for name in order if name in both}


def write(path: Path, entries: Entries) -> None:
    """Write the entries as JSON. If this process is killed, the old file stays whole."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n")
    temporary.replace(path)


def rounded(value: float) -> float:
    """Return the value rounded to the digits that mean something."""
    return float(f"{value:.{DIGITS}g}")


def _figure(figure: Figure) -> FigureEntry:
    entry: FigureEntry = {"what": figure.what, "value": rounded(figure.value), "unit": figure.unit}
    if figure.goal is not None:
        entry |= {"goal": str(figure.goal), "reached": figure.goal.met_by(figure.value)}
    return entry
