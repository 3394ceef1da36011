"""Prepare to STORED, compared with the parent project's way: a chunk a request, in turn, as base64 in JSON."""

from collections.abc import Callable

import httpx2

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.cases.ingest import storing
from bench.loopback import client
from bench.peers import parent
from bench.result import Goal, Outcome
from bench.scale import named
from bench.stand import Stand
from bench.timing import rate

OURS = "Gridhaul"
PEER = "the parent project's way"
UNIT = "MiB/s"


def measure(bench: Bench) -> Outcome:
    """Compare rates of two sizes: the peer takes long, so its file is smaller.

    For Gridhaul, the fixed cost of a transfer would weigh too much at the smaller size.
    """
    stand, mib, parent_mib = bench.stand, bench.scale.file_mib, bench.scale.parent_file_mib
    with client(stand.parent_url) as http:
        contestants = [
            Contestant(OURS, storing(stand, mib)),
            Contestant(PEER, _uploading(stand, http, parent_mib)),
        ]
        rates = bench.alternate(contestants, unit=UNIT)
    return Outcome(size=f"{named(mib)}, peer {named(parent_mib)}", ours=rates.pop(OURS), peers=rates)


def _uploading(stand: Stand, http: httpx2.Client, mib: int) -> Callable[[], float]:
    source = stand.sources.random(mib)
    return rate(mib, lambda: parent.upload(source, http), lambda _: stand.empty_peers())


CASE = Case(
    name="ingest_parent",
    unit=UNIT,
    goal=Goal("≥", 8),
    measure=measure,
    stored_mib=lambda scale: scale.file_mib + scale.parent_file_mib,
)
