"""A batch of many small files until all are STORED, compared with uploads to GridFS by four threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.peers.gridfs import Bucket, pymongo_bucket
from bench.result import Figure, Goal, Outcome
from bench.scale import MIB, SMALL_FILE_BYTES
from bench.timing import rate

OURS = "Gridhaul"
ALONE = "a request for each file, sixteen at once"
PEER = "GridFSBucket in 4 threads"
UNIT = "files/s"
THREADS = 4


def measure(bench: Bench) -> Outcome:
    sources = bench.stand.sources.many(bench.scale.small_files, SMALL_FILE_BYTES)
    crowd = bench.stand.ours.crowd
    with pymongo_bucket(bench.stand.ours.system.mongo_url) as bucket, ThreadPoolExecutor(THREADS) as threads:
        contestants = [
            Contestant(OURS, rate(len(sources), lambda: crowd.store_as_batch(sources), crowd.delete)),
            Contestant(ALONE, rate(len(sources), lambda: crowd.store(sources), crowd.delete)),
            Contestant(PEER, _uploading(bucket, threads, sources)),
        ]
        rates = bench.alternate(contestants, unit=UNIT)
    size = f"{len(sources):,} files of 64 KiB as a batch"
    alone = Figure(what=ALONE, value=median(rates.pop(ALONE)), unit=UNIT)
    return Outcome(size=size, ours=rates.pop(OURS), peers=rates, figures=(alone,))


def _uploading(bucket: Bucket, threads: ThreadPoolExecutor, sources: Sequence[Path]) -> Callable[[], float]:
    return rate(
        len(sources),
        lambda: list(threads.map(bucket.upload, sources)),
        lambda file_ids: list(threads.map(bucket.delete, file_ids)),
    )


CASE = Case(
    name="small_files",
    unit=UNIT,
    goal=Goal("≥", 1.5),
    measure=measure,
    stored_mib=lambda scale: 3 * scale.small_files * SMALL_FILE_BYTES // MIB,
)
