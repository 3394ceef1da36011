"""Prepare to STORED of many small files, compared with uploads to GridFS by four threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.peers.gridfs import Bucket, pymongo_bucket
from bench.result import Goal, Outcome
from bench.scale import MIB, SMALL_FILE_BYTES
from bench.timing import rate

OURS = "Gridhaul"
PEER = "GridFSBucket in 4 threads"
UNIT = "files/s"
THREADS = 4


def measure(bench: Bench) -> Outcome:
    sources = bench.stand.sources.many(bench.scale.small_files, SMALL_FILE_BYTES)
    crowd = bench.stand.ours.crowd
    with pymongo_bucket(bench.stand.ours.system.mongo_url) as bucket, ThreadPoolExecutor(THREADS) as threads:
        contestants = [
            Contestant(OURS, rate(len(sources), lambda: crowd.store(sources), crowd.delete)),
            Contestant(PEER, _uploading(bucket, threads, sources)),
        ]
        rates = bench.alternate(contestants, unit=UNIT)
    size = f"{len(sources):,} files of 64 KiB"
    return Outcome(size=size, ours=rates.pop(OURS), peers=rates)


def _uploading(bucket: Bucket, threads: ThreadPoolExecutor, sources: Sequence[Path]) -> Callable[[], float]:
    return rate(
        len(sources),
        lambda: list(threads.map(bucket.upload, sources)),
        lambda file_ids: list(threads.map(bucket.delete, file_ids)),
    )


CASE = Case(
    name="small_files",
    unit=UNIT,
    goal=Goal("≥", 0.5),
    measure=measure,
    stored_mib=lambda scale: 2 * scale.small_files * SMALL_FILE_BYTES // MIB,
)
