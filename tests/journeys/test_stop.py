"""A worker that is asked to stop exits soon, and another worker goes on where the first one was."""

import json
import time
from pathlib import Path

import psutil

from gridhaul.embedded.system import Configuration, System
from gridhaul.transfer.chunking import SEGMENT_MAX_BYTES, chunk_count
from tests.journeys.operator import MIB, Operator, sha256_of, wait_for
from tests.journeys.processes import settings_of, started

LENGTH = 1024 * MIB
SEGMENTS = LENGTH // SEGMENT_MAX_BYTES
IN_FLIGHT = 2
STOP_SECONDS = 5


def segments_sent(system: System) -> int:
    """Return the number of segments that the chunk service was sent, from its log."""
    lines = (system.data / "logs" / "chunk_service.log").read_text().splitlines()
    requests = [json.loads(line) for line in lines if line.startswith("{")]
    return sum(request.get("method") == "PUT" for request in requests)


def test_sigterm_hands_the_file_over_and_nothing_is_sent_again(tmp_path: Path) -> None:
    source = tmp_path / "large.bin"
    with source.open("wb") as zeros:
        zeros.truncate(LENGTH)  # a sparse file: the bytes do not matter here
    heartbeat = tmp_path / "heartbeat"
    with System(Configuration(data=tmp_path / "data", roots=(tmp_path,), port=None, environment={})) as system:
        operator = Operator(system)
        second = ("celery", "-A", "tasks.celery", "worker", "-Q", "large", "-n", "second@%h", "--concurrency", "1")
        settings = settings_of(system) | {"GRIDHAUL_HEARTBEAT_FILE": str(heartbeat)}
        with started(second, settings, tmp_path / "second.log"):
            wait_for(heartbeat.exists, seconds=30, what="the second worker is ready")
            file_id = operator.prepare(source)
            operator.storing_past(file_id, LENGTH // 4)
            worker = operator.holder_of("files").parent()
            assert worker is not None
            stored = operator.file(file_id)["stored_bytes"]
            stopped_after = stop(worker)
            file = operator.stored(file_id, seconds=60)
        operator.close()
        sent = segments_sent(system)
    assert stopped_after < STOP_SECONDS
    assert stored < LENGTH
    assert file["digests"]["sha-256"] == sha256_of(source)
    assert file["attempts"] == 2
    assert SEGMENTS <= sent <= SEGMENTS + IN_FLIGHT
    assert file["chunk_count"] == chunk_count(LENGTH)


def stop(worker: psutil.Process) -> float:
    """Send SIGTERM to the worker's parent process alone, as a deploy does; return the seconds until it exits."""
    asked_at = time.monotonic()
    worker.terminate()
    worker.wait(30)
    return time.monotonic() - asked_at
