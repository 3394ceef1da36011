"""Prepare to STORED of one large random file, against GridFS in three forms."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.operator import Operator
from bench.peers.gridfs import Bucket, async_pymongo_bucket, motor_bucket, pymongo_bucket
from bench.result import Goal, Outcome
from bench.scale import named
from bench.timing import timed

OURS = "Gridhaul"
UNIT = "MiB/s"
BUCKETS = {
    "GridFSBucket": pymongo_bucket,
    "AsyncGridFSBucket": async_pymongo_bucket,
    "Motor": motor_bucket,
}


def measure(bench: Bench) -> Outcome:
    mib = bench.scale.file_mib
    source = bench.stand.sources.random(mib)
    with ExitStack() as stack:
        contestants = [Contestant(OURS, storing(bench.stand.ours.operator, source, mib))]
        for name, make in BUCKETS.items():
            bucket = stack.enter_context(make(bench.stand.ours.system.mongo_url))
            contestants.append(Contestant(name, _uploading(bucket, source, mib)))
        rates = bench.alternate(contestants, unit=UNIT)
    return Outcome(size=named(mib), ours=rates.pop(OURS), peers=rates)


def storing(operator: Operator, source: Path, mib: int) -> Callable[[], float]:
    """Measures the rate of storing the file in Gridhaul."""

    def run() -> float:
        seconds, file_id = timed(lambda: operator.store(source))
        operator.delete(file_id)
        return mib / seconds

    return run


def _uploading(bucket: Bucket, source: Path, mib: int) -> Callable[[], float]:
    def run() -> float:
        seconds, file_id = timed(lambda: bucket.upload(source))
        bucket.delete(file_id)
        return mib / seconds

    return run


CASE = Case(
    name="ingest",
    unit=UNIT,
    goal=Goal("≥", 1.2),
    measure=measure,
    stored_mib=lambda scale: 2 * scale.file_mib,
)
