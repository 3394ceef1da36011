"""A whole run: the stand, the chosen cases one after another, what they gave."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import typer

from bench import machine, record, report
from bench.case import Bench, Case
from bench.catalogue import NAMES, choose
from bench.display import display
from bench.record import Entries
from bench.scale import FULL, Scale
from bench.stand import standing
from gridhaul.embedded.programs import PROJECT

SCRATCH = PROJECT / "var/bench"
LATEST = PROJECT / "bench/latest.json"
REDUCED = PROJECT / "var/bench-reduced.json"  # of other sizes, which nothing can be compared with


@dataclass(frozen=True, kw_only=True)
class Plan:
    only: tuple[str, ...]
    runs: int
    scale: Scale
    settings: Mapping[str, str] = field(default_factory=dict)


def run(plan: Plan) -> None:
    """Measure, show, and write. What was measured before something failed is shown and written as well."""
    cases = choose(plan.only)
    entries: Entries = {}
    try:
        with scratch() as directory, display() as shown, standing(directory, plan.settings) as stand:
            bench = Bench(stand=stand, scale=plan.scale, runs=plan.runs, display=shown)
            for case in cases:
                entries[case.name] = _measured(case, bench)
    finally:
        if entries:
            path = LATEST if plan.scale == FULL else REDUCED
            record.write(path, record.merged(record.read(path), entries, order=NAMES))
            report.show(report.console(), entries)
            typer.echo(f"written to {path}", err=True)


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for everything that is stored, removed at the end."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    try:
        yield SCRATCH
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)


def _measured(case: Case, bench: Bench) -> record.Entry:
    bench.display.case(case.name)
    outcome = case.measure(bench)
    where = machine.describe(bench.stand.mongo)
    return record.entry_of(case, outcome, settings=bench.stand.settings, machine=where)
