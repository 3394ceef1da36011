"""Measures how long prepare takes while large files are being stored, one after another."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from bench.case import Bench
from bench.operator import Operator
from bench.result import Figure, Goal, percentile
from bench.scale import SMALL_FILE_BYTES
from bench.stand import Stand
from bench.timing import timed

UNIT = "ms"
PERIOD_SECONDS = 0.05  # 20 requests a second, however long the answers take
AT_MOST = Goal("≤", 100)


def measure_preparing(bench: Bench) -> list[Figure]:
    """Return p50 and p99 of the milliseconds that prepare takes."""
    stand, requests = bench.stand, bench.scale.requests
    large, small = stand.sources.random(bench.scale.file_mib), stand.sources.many(1, SMALL_FILE_BYTES)[0]
    bench.display.expect(1)
    bench.display.begins("preparing while a large file is stored")
    stand.ours.settle()
    with _storing(stand, large):
        milliseconds, file_ids = _prepare(stand.ours.operator, small, requests)
    for file_id in file_ids:
        stand.ours.records.wait_for_file(file_id, "STORED")
    stand.ours.crowd.delete(file_ids)
    bench.display.ends(f"{requests:,} files prepared while a large file was stored")
    return [
        Figure(what="prepare while a large file is stored, p50", value=percentile(milliseconds, 50), unit=UNIT),
        Figure(
            what="prepare while a large file is stored, p99",
            value=percentile(milliseconds, 99),
            unit=UNIT,
            goal=AT_MOST,
        ),
    ]


def _prepare(operator: Operator, path: Path, requests: int) -> tuple[list[float], list[str]]:
    """Prepare the file `requests` times; return the milliseconds of each request, and the ids."""
    milliseconds, file_ids = [], []
    begin = time.perf_counter()
    for number in range(requests):
        time.sleep(max(0.0, begin + number * PERIOD_SECONDS - time.perf_counter()))
        seconds, file_id = timed(lambda: operator.prepare(path))
        milliseconds.append(seconds * 1000)
        file_ids.append(file_id)
    return milliseconds, file_ids


@contextmanager
def _storing(stand: Stand, large: Path) -> Iterator[None]:
    """Store the file again and again in a thread, and delete it each time, while the context is entered."""
    stop = Event()
    with ThreadPoolExecutor(1) as threads, stand.ours.operator_with(stand.ours.system.token) as operator:
        stored = threads.submit(_store_until, stop, operator, large)
        try:
            yield
        finally:
            stop.set()
        stored.result()


def _store_until(stop: Event, operator: Operator, large: Path) -> None:
    while not stop.is_set():
        operator.delete(operator.store(large))
