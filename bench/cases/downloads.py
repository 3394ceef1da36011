"""A verified download through the api, compared with a GridFS file that Starlette streams without verification."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import httpx2

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.loopback import client
from bench.operator import Operator
from bench.peers.gridfs import grid_of
from bench.result import Figure, Goal, Outcome
from bench.scale import MIB, named
from bench.stand import Stand
from bench.timing import nothing, rate

OURS = "whole"
RANGE = "one range"
RANGES = "ranges of 8 MiB, 4 connections"
PEER = "GridFS by Starlette"
UNIT = "MiB/s"
CONNECTIONS = 4
RANGE_BYTES = 8 * MIB


def measure(bench: Bench) -> Outcome:
    mib = bench.scale.file_mib
    source = bench.stand.sources.random(mib)
    operator = bench.stand.ours.operator
    file_id = operator.store(source)
    with client(bench.stand.download_url) as peer, ThreadPoolExecutor(CONNECTIONS) as threads:
        contestants = [
            Contestant(OURS, rate(mib, lambda: operator.read(file_id), nothing)),
            Contestant(RANGE, rate(mib, lambda: operator.read(file_id, first=0), nothing)),
            Contestant(RANGES, rate(mib, _in_ranges(operator, file_id, mib * MIB, threads), nothing)),
            Contestant(PEER, _streaming(bench.stand, source, peer, mib)),
        ]
        rates = bench.alternate(contestants, unit=UNIT)
    operator.delete(file_id)
    bench.stand.empty_peers()
    figures = tuple(Figure(what=name, value=median(rates[name]), unit=UNIT) for name in (RANGE, RANGES))
    return Outcome(size=named(mib), ours=rates[OURS], peers={PEER: rates[PEER]}, ours_is=OURS, figures=figures)


def _in_ranges(operator: Operator, file_id: str, length: int, threads: ThreadPoolExecutor) -> Callable[[], object]:
    def read(first: int) -> None:
        operator.read(file_id, first=first, last=min(first + RANGE_BYTES, length) - 1)

    return lambda: list(threads.map(read, range(0, length, RANGE_BYTES)))


def _streaming(stand: Stand, source: Path, http: httpx2.Client, mib: int) -> Callable[[], float]:
    with source.open("rb") as file:
        file_id = grid_of(stand.mongo).upload_from_stream(source.name, file)

    def read() -> None:
        with http.stream("GET", f"/{file_id}") as answer:
            answer.raise_for_status()
            for _ in answer.iter_raw():
                pass

    return rate(mib, read, nothing)


CASE = Case(
    name="downloads",
    unit=UNIT,
    goal=Goal("≥", 0.8),
    measure=measure,
    stored_mib=lambda scale: 2 * scale.file_mib,
)
