"""Prepare to STORED of one large random file, compared with an upload to GridFS by three drivers."""

from collections.abc import Callable
from contextlib import ExitStack

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.peers.gridfs import Bucket, async_pymongo_bucket, motor_bucket, pymongo_bucket
from bench.result import Goal, Outcome
from bench.scale import named
from bench.stand import Stand
from bench.timing import rate

OURS = "Gridhaul"
UNIT = "MiB/s"
BUCKETS = {
    "GridFSBucket": pymongo_bucket,
    "AsyncGridFSBucket": async_pymongo_bucket,
    "Motor": motor_bucket,
}


def measure(bench: Bench) -> Outcome:
    mib = bench.scale.file_mib
    with ExitStack() as stack:
        contestants = [Contestant(OURS, storing(bench.stand, mib))]
        for name, make in BUCKETS.items():
            bucket = stack.enter_context(make(bench.stand.ours.system.mongo_url))
            contestants.append(Contestant(name, _uploading(bucket, bench.stand, mib)))
        rates = bench.alternate(contestants, unit=UNIT)
    return Outcome(size=named(mib), ours=rates.pop(OURS), peers=rates)


def storing(stand: Stand, mib: int) -> Callable[[], float]:
    """Return a measurement of the rate at which Gridhaul stores a random file of `mib` MiB."""
    source, operator = stand.sources.random(mib), stand.ours.operator
    return rate(mib, lambda: operator.store(source), operator.delete)


def _uploading(bucket: Bucket, stand: Stand, mib: int) -> Callable[[], float]:
    source = stand.sources.random(mib)
    return rate(mib, lambda: bucket.upload(source), bucket.delete)


CASE = Case(
    name="ingest",
    unit=UNIT,
    goal=Goal("≥", 1.2),
    measure=measure,
    stored_mib=lambda scale: 2 * scale.file_mib,
)
