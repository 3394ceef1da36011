"""Finalize to DELIVERED, with all checks, compared with an unverified PUT from GridFS; both send to the sink."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import httpx2

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.loopback import client
from bench.peers.gridfs import grid_of
from bench.peers.put import put
from bench.remotes import SINK
from bench.result import Goal, Outcome
from bench.scale import named
from bench.stand import Stand
from bench.timing import nothing, rate

OURS = "Gridhaul"
PEER = "GridFS to PUT"
UNIT = "MiB/s"


def measure(bench: Bench) -> Outcome:
    mib = bench.scale.file_mib
    source = bench.stand.sources.random(mib)
    file_id = bench.stand.ours.operator.store(source)
    with client(bench.stand.remotes.sink_url) as http:
        contestants = [
            Contestant(OURS, _delivering(bench.stand, file_id, mib)),
            Contestant(PEER, _putting(bench.stand, source, http, mib)),
        ]
        rates = bench.alternate(contestants, unit=UNIT)
    bench.stand.ours.operator.delete(file_id)
    bench.stand.empty_peers()
    return Outcome(size=named(mib), ours=rates.pop(OURS), peers=rates)


def _delivering(stand: Stand, file_id: str, mib: int) -> Callable[[], float]:
    operator, sha256 = stand.ours.operator, stand.ours.operator.sha256(file_id)
    names = (f"object-{number}" for number in count())  # finalize with the same name returns the same delivery
    return rate(mib, lambda: operator.deliver(file_id, sha256, target=SINK, object_name=next(names)), nothing)


def _putting(stand: Stand, source: Path, http: httpx2.Client, mib: int) -> Callable[[], float]:
    grid = grid_of(stand.mongo)
    with source.open("rb") as file:
        file_id = grid.upload_from_stream(source.name, file)
    return rate(mib, lambda: put(grid, file_id, http), nothing)


CASE = Case(
    name="egress",
    unit=UNIT,
    goal=Goal("≥", 1.0),
    measure=measure,
    stored_mib=lambda scale: 2 * scale.file_mib,
)
