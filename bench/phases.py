"""Reads from the logs of the workers how long the steps of a delivery took."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from bench.errors import TransferFailed
from bench.timing import wait_for

CHECKED = "object_checked"
LAST = "attempt_done"
STEPS = frozenset({"stage_begins", "stage_written", "stage_committed", CHECKED})


@dataclass(frozen=True, kw_only=True)
class Phases:
    """The seconds from the begin of a stage to its commit, without those in which the object was checked."""

    sending_seconds: float
    checking_seconds: float
    evidence: str  # the way in which the object was checked


def wait_for_phases(logs: Sequence[Path], delivery_id: str) -> Phases:
    """Return the phases of a delivery that was just done. Its lines may reach the log after its record is changed."""
    wait_for(
        lambda: any(line["event"] == LAST for line in _lines(logs, delivery_id)),
        what=f"the log of the workers has the end of delivery {delivery_id}",
    )
    return phases_of([*_lines(logs, delivery_id)])


def phases_of(lines: Sequence[dict[str, str]]) -> Phases:
    """Return the phases by a delivery's lines. Raises TransferFailed if it needed more than one attempt."""
    steps = [line for line in lines if line["event"] in STEPS]
    if len(steps) != len(STEPS) or {step["event"] for step in steps} != STEPS:
        raise TransferFailed(f"A delivery took other steps than one attempt does: {[line['event'] for line in lines]}.")
    checking = sending = 0.0
    for before, step in pairwise(steps):
        seconds = (_time(step) - _time(before)).total_seconds()
        if step["event"] == CHECKED:
            checking += seconds
        else:
            sending += seconds
    (evidence,) = (step["evidence"] for step in steps if step["event"] == CHECKED)
    return Phases(sending_seconds=sending, checking_seconds=checking, evidence=evidence)


def _lines(logs: Sequence[Path], delivery_id: str) -> Iterator[dict[str, str]]:
    """Yield the whole lines of the delivery. Celery's own lines are no JSON."""
    for log in logs:
        for text in log.read_text().splitlines(keepends=True):
            if delivery_id in text and text.startswith("{") and text.endswith("\n"):
                line = json.loads(text)
                if line.get("record_id") == delivery_id:
                    yield line


def _time(line: dict[str, str]) -> datetime:
    return datetime.fromisoformat(line["timestamp"])
