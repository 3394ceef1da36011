"""Files of 5 MiB as one document each, compared with a document a chunk: a measure for INLINE_LIMIT_CHUNKS."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.installation import Installation
from bench.result import Figure, Outcome
from bench.scale import MIB, MIDDLE_FILE_MIB
from bench.timing import nothing, rate

OURS = "inline"
PEER = "GridFS layout"
LIMITS = {OURS: "15", PEER: "0"}
UNIT = "MiB/s"


def measure(bench: Bench) -> Outcome:
    sources = bench.stand.sources.many(bench.scale.middle_files, MIDDLE_FILE_MIB * MIB)
    with ExitStack() as stack:
        layouts = {
            name: stack.enter_context(bench.stand.beside(f"layout_{limit}", {"INLINE_LIMIT_CHUNKS": limit}))
            for name, limit in LIMITS.items()
        }
        stored = _alternate(bench, layouts, lambda layout: _storing(layout, sources))
        read = _alternate(bench, layouts, lambda layout: _reading(layout, layout.crowd.store(sources)))
    figures = [Figure(what=f"reading, {name}", value=median(rates), unit=UNIT) for name, rates in read.items()]
    ratio = Figure(what="reading, ratio", value=figures[0].value / figures[1].value, unit="")
    size = f"{len(sources)} files of {MIDDLE_FILE_MIB} MiB"
    return Outcome(size=size, ours=stored[OURS], peers={PEER: stored[PEER]}, ours_is=OURS, figures=(*figures, ratio))


def _alternate(
    bench: Bench, layouts: dict[str, Installation], measurement: Callable[[Installation], Callable[[], float]]
) -> dict[str, Sequence[float]]:
    return bench.alternate([Contestant(name, measurement(layout)) for name, layout in layouts.items()], unit=UNIT)


def _storing(layout: Installation, sources: Sequence[Path]) -> Callable[[], float]:
    return rate(len(sources) * MIDDLE_FILE_MIB, lambda: layout.crowd.store(sources), layout.crowd.delete)


def _reading(layout: Installation, file_ids: Sequence[str]) -> Callable[[], float]:
    """Return a measurement of downloading the files, one after another."""

    def read() -> None:
        for file_id in file_ids:
            layout.operator.read(file_id)

    return rate(len(file_ids) * MIDDLE_FILE_MIB, read, nothing)


CASE = Case(
    name="middle_files",
    unit=UNIT,
    goal=None,
    measure=measure,
    stored_mib=lambda scale: 2 * scale.middle_files * MIDDLE_FILE_MIB,
)
