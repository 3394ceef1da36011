"""Cases, outcomes and record entries like the benchmark's, with made-up figures."""

from collections.abc import Mapping, Sequence

from bench.case import Bench, Case
from bench.machine import Machine
from bench.record import Entry, entry_of
from bench.result import Figure, Goal, Outcome, Values

MACHINE: Machine = {
    "cpu": "A processor",
    "cores": 2,
    "memory_gib": 8.0,
    "kernel": "Linux 6.1",
    "python": "3.11.7",
    "mongod": "6.0.5",
    "mongod_cache_gib": 0.5,
}


def case(name: str = "ingest", *, goal: Goal | None = None) -> Case:
    return Case(name=name, unit="MiB/s", goal=goal, measure=_never, stored_mib=lambda scale: scale.file_mib)


def outcome(ours: Values, peers: Mapping[str, Values] | None = None, *, figures: Sequence[Figure] = ()) -> Outcome:
    return Outcome(size="1 GiB", ours=ours, peers=peers or {"GridFS": [100.0]}, figures=figures)


def entry(found: Outcome, *, goal: Goal | None = None) -> Entry:
    return entry_of(case(goal=goal), found, settings={"GC_SECONDS": "86400"}, machine=MACHINE)


def _never(bench: Bench) -> Outcome:
    raise AssertionError("these tests measure no case")
