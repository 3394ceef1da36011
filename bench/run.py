"""Runs the chosen cases on a stand, one after another, and writes and shows their results."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from bench import chart, document, guard, machine, record, report
from bench.case import Bench, Case
from bench.catalogue import NAMES
from bench.disk import check_space
from bench.display import display
from bench.guard import Guarded
from bench.record import Entries, Entry
from bench.result import Outcome
from bench.scale import FULL, Scale
from bench.stand import standing
from gridhaul.embedded import binaries
from gridhaul.embedded.data_directory import DataDirectory
from gridhaul.embedded.programs import PROJECT

SCRATCH = PROJECT / "var/bench"
LATEST = PROJECT / "bench/latest.json"
TRIAL = PROJECT / "var/bench-trial.json"  # of runs with other sizes or settings, which are not comparable
PAGE = PROJECT / "docs/performance.md"
CHART = PROJECT / "docs/performance.svg"


@dataclass(frozen=True, kw_only=True)
class Plan:
    cases: Sequence[Case]
    runs: int
    scale: Scale
    settings: Mapping[str, str]

    @property
    def is_trial(self) -> bool:
        return self.scale != FULL or bool(self.settings)


def run(plan: Plan) -> None:
    """Measure the cases, and show and write their results. If a case fails, the results before it are kept, too."""
    entries: Entries = {}
    try:
        with _bench(plan) as bench:
            for case in plan.cases:
                entries[case.name] = _entry(case, bench, _measured(case, bench))
    finally:
        if entries:
            _keep(entries, TRIAL if plan.is_trial else LATEST)
            report.show(report.console(), entries)


def run_guard() -> bool:
    """Measure and show the guarded cases; return whether every ratio holds."""
    plan = Plan(cases=guard.guarded_cases(), runs=guard.RUNS, scale=guard.SCALE, settings={})
    with _bench(plan) as bench:
        guarded = [_guarded(case, bench) for case in plan.cases]
        entries = {one.case.name: _entry(one.case, bench, one.outcome) for one in guarded}
    report.show(report.console(), entries)
    for one in guarded:
        typer.echo(str(one))
    return all(one.holds for one in guarded)


def _guarded(case: Case, bench: Bench) -> Guarded:
    return guard.judge(case, lambda runs: _measured(case, replace(bench, runs=runs)))


@contextmanager
def _bench(plan: Plan) -> Iterator[Bench]:
    """Yield a started bench, in a directory that is removed at the end.

    Raises BinaryMissing if a case needs a program that is not installed.
    """
    binaries.locate(program for case in plan.cases for program in case.programs)
    with _scratch() as directory:
        check_space(directory, plan.cases, plan.scale)
        with display() as shown, standing(directory, plan.settings) as stand:
            yield Bench(stand=stand, scale=plan.scale, runs=plan.runs, display=shown)


@contextmanager
def _scratch() -> Iterator[Path]:
    """Yield the locked scratch directory, emptied of the files of a killed run. Raises DirectoryInUse."""
    scratch = DataDirectory(SCRATCH)
    with scratch.lock():
        for leftover in SCRATCH.iterdir():
            if leftover != scratch.run:
                shutil.rmtree(leftover)
        try:
            yield SCRATCH
        finally:
            shutil.rmtree(SCRATCH, ignore_errors=True)


def _measured(case: Case, bench: Bench) -> Outcome:
    bench.display.case(case.name)
    return case.measure(bench)


def _entry(case: Case, bench: Bench, outcome: Outcome) -> Entry:
    measured_on = machine.describe(bench.stand.mongo)
    return record.entry_of(case, outcome, settings=bench.stand.settings, machine=measured_on)


def _keep(entries: Entries, path: Path) -> None:
    everything = record.merged(record.read(path), entries, order=NAMES)
    record.write(path, everything)
    typer.echo(f"written: {path}", err=True)
    if path == LATEST:
        _publish(everything)


def _publish(entries: Entries) -> None:
    """Write the page and the chart, unless a case has too few runs."""
    if too_few := document.too_few_runs(entries):
        reason = f"fewer than {document.PUBLISHED_RUNS} runs of {', '.join(too_few)}"
        typer.echo(f"{PAGE.name} and {CHART.name} stay as they are: {reason}.", err=True)
        return
    document.write(PAGE, entries)
    chart.draw(CHART, entries)
    typer.echo(f"written: {PAGE}\nwritten: {CHART}", err=True)
