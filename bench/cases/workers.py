"""Prepare to STORED of several large files at once, with 1, 2 and 4 children of the worker for large files."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.installation import Installation
from bench.result import Figure, Outcome
from bench.scale import MIB, named
from bench.timing import rate

CHILDREN = {"1 child": 1, "2 children": 2, "4 children": 4}
PEER = "1 child"
FILES = 4
UNIT = "MiB/s"
SETTINGS = {"LARGE_FILE_BYTES": str(MIB)}  # so that the files of a small trial are large, too


def measure(bench: Bench) -> Outcome:
    mib = bench.scale.worker_file_mib
    sources = [bench.stand.sources.random(mib)] * FILES
    with ExitStack() as stack:
        contestants = [
            Contestant(name, _storing(_with(stack, bench, children), sources, FILES * mib))
            for name, children in CHILDREN.items()
        ]
        rates = bench.alternate(contestants, unit=UNIT)
    best = max(rates, key=lambda name: median(rates[name]))
    figures = [Figure(what=name, value=median(values), unit=UNIT) for name, values in rates.items()]
    size = f"{FILES} files of {named(mib)}"
    return Outcome(size=size, ours=rates[best], peers={PEER: rates[PEER]}, ours_is=best, figures=figures)


def _with(stack: ExitStack, bench: Bench, children: int) -> Installation:
    return stack.enter_context(bench.stand.beside(f"workers_{children}", SETTINGS, large_children=children))


def _storing(workers: Installation, sources: Sequence[Path], mib: int) -> Callable[[], float]:
    return rate(mib, lambda: workers.crowd.store(sources), workers.crowd.delete)


CASE = Case(
    name="workers",
    unit=UNIT,
    goal=None,
    measure=measure,
    stored_mib=lambda scale: FILES * scale.worker_file_mib,
)
