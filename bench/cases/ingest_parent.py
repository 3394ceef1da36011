"""Prepare to STORED, against the parent project's way: a chunk a request, in turn, as base64 in JSON."""

from collections.abc import Callable
from pathlib import Path

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.cases.ingest import storing
from bench.peers import parent
from bench.result import Goal, Outcome
from bench.scale import named
from bench.stand import Stand
from bench.timing import timed

OURS = "Gridhaul"
PEER = "the parent project's way"
UNIT = "MiB/s"


def measure(bench: Bench) -> Outcome:
    """The peer's file is smaller, because it takes long. At that size what any transfer costs would weigh on ours."""
    stand, mib, parent_mib = bench.stand, bench.scale.file_mib, bench.scale.parent_file_mib
    contestants = [
        Contestant(OURS, storing(stand.ours.operator, stand.sources.random(mib), mib)),
        Contestant(PEER, _uploading(stand, stand.sources.random(parent_mib), parent_mib)),
    ]
    rates = bench.alternate(contestants, unit=UNIT)
    return Outcome(size=f"{named(mib)}, peer {named(parent_mib)}", ours=rates.pop(OURS), peers=rates)


def _uploading(stand: Stand, source: Path, mib: int) -> Callable[[], float]:
    def run() -> float:
        seconds, _ = timed(lambda: parent.upload(source, stand.parent_url))
        stand.empty_peers()
        return mib / seconds

    return run


CASE = Case(
    name="ingest_parent",
    unit=UNIT,
    goal=Goal("≥", 8),
    measure=measure,
    stored_mib=lambda scale: scale.file_mib + scale.parent_file_mib,
)
