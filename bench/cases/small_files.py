"""Prepare to STORED of many small files, against GridFS in four threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.crowd import Crowd
from bench.peers.gridfs import Bucket, pymongo_bucket
from bench.result import Goal, Outcome
from bench.scale import MIB, SMALL_FILE_BYTES
from bench.timing import timed

OURS = "Gridhaul"
PEER = "GridFSBucket in 4 threads"
UNIT = "files/s"
THREADS = 4


def measure(bench: Bench) -> Outcome:
    sources = bench.stand.sources.many(bench.scale.small_files, SMALL_FILE_BYTES)
    with pymongo_bucket(bench.stand.ours.system.mongo_url) as bucket:
        contestants = [
            Contestant(OURS, _storing(bench.stand.ours.crowd, sources)),
            Contestant(PEER, _uploading(bucket, sources)),
        ]
        rates = bench.alternate(contestants, unit=UNIT)
    size = f"{len(sources):,} files of 64 KiB"
    return Outcome(size=size, ours=rates.pop(OURS), peers=rates)


def _storing(crowd: Crowd, sources: Sequence[Path]) -> Callable[[], float]:
    def run() -> float:
        seconds, file_ids = timed(lambda: crowd.store(sources))
        crowd.delete(file_ids)
        return len(sources) / seconds

    return run


def _uploading(bucket: Bucket, sources: Sequence[Path]) -> Callable[[], float]:
    def run() -> float:
        with ThreadPoolExecutor(THREADS) as threads:
            seconds, file_ids = timed(lambda: list(threads.map(bucket.upload, sources)))
            list(threads.map(bucket.delete, file_ids))
        return len(sources) / seconds

    return run


CASE = Case(
    name="small_files",
    unit=UNIT,
    goal=Goal("≥", 0.5),
    measure=measure,
    stored_mib=lambda scale: 2 * scale.small_files * SMALL_FILE_BYTES // MIB,
)
