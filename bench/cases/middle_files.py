"""A batch of files of 5 MiB in both layouts, compared with uploads to GridFS by four threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.installation import Installation
from bench.peers.gridfs import Bucket, pymongo_bucket
from bench.result import Figure, Goal, Outcome
from bench.scale import MIB, MIDDLE_FILE_MIB
from bench.timing import nothing, rate
from gridhaul.process.settings import ChunkServiceSettings

INLINE = "inline"
CHUNKED = "GridFS layout"
LIMITS = {INLINE: "15", CHUNKED: "0"}
PEER = "GridFSBucket in 4 threads"
UNIT = "MiB/s"
THREADS = 4
USUAL_LIMIT: int = ChunkServiceSettings.model_fields["inline_limit_chunks"].default
OURS = INLINE if MIDDLE_FILE_MIB <= USUAL_LIMIT else CHUNKED


def measure(bench: Bench) -> Outcome:
    sources = bench.stand.sources.many(bench.scale.middle_files, MIDDLE_FILE_MIB * MIB)
    with ExitStack() as stack:
        layouts = {
            name: stack.enter_context(bench.stand.beside(f"layout_{limit}", {"INLINE_LIMIT_CHUNKS": limit}))
            for name, limit in LIMITS.items()
        }
        bucket = stack.enter_context(pymongo_bucket(bench.stand.ours.system.mongo_url))
        threads = stack.enter_context(ThreadPoolExecutor(THREADS))
        storing = {name: _storing(layout, sources) for name, layout in layouts.items()}
        stored = _alternate(bench, {**storing, PEER: _uploading(bucket, threads, sources)})
        read = _alternate(bench, {name: _reading(layout, sources) for name, layout in layouts.items()})
    figures = [
        *(Figure(what=f"storing, {name}", value=median(stored[name]), unit=UNIT) for name in layouts),
        *(Figure(what=f"reading, {name}", value=median(rates), unit=UNIT) for name, rates in read.items()),
    ]
    size = f"{len(sources)} files of {MIDDLE_FILE_MIB} MiB as a batch"
    return Outcome(size=size, ours=stored[OURS], peers={PEER: stored[PEER]}, ours_is=OURS, figures=tuple(figures))


def _alternate(bench: Bench, measurements: dict[str, Callable[[], float]]) -> dict[str, Sequence[float]]:
    return bench.alternate([Contestant(name, measurement) for name, measurement in measurements.items()], unit=UNIT)


def _storing(layout: Installation, sources: Sequence[Path]) -> Callable[[], float]:
    crowd = layout.crowd
    return rate(len(sources) * MIDDLE_FILE_MIB, lambda: crowd.store_as_batch(sources), crowd.delete)


def _uploading(bucket: Bucket, threads: ThreadPoolExecutor, sources: Sequence[Path]) -> Callable[[], float]:
    return rate(
        len(sources) * MIDDLE_FILE_MIB,
        lambda: list(threads.map(bucket.upload, sources)),
        lambda file_ids: list(threads.map(bucket.delete, file_ids)),
    )


def _reading(layout: Installation, sources: Sequence[Path]) -> Callable[[], float]:
    """Return a measurement of downloading the files, one after another."""
    file_ids = layout.crowd.store_as_batch(sources)

    def read() -> None:
        for file_id in file_ids:
            layout.operator.read(file_id)

    return rate(len(file_ids) * MIDDLE_FILE_MIB, read, nothing)


CASE = Case(
    name="middle_files",
    unit=UNIT,
    goal=Goal("≥", 0.85),
    measure=measure,
    stored_mib=lambda scale: 3 * scale.middle_files * MIDDLE_FILE_MIB,
)
