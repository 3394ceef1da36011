"""Decides from the workers' heartbeats what keeps work from going on. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from gridhaul.transfer import errors
from gridhaul.transfer.errors import ChunkServiceUnavailable, GridhaulError, NoWorker, StorageFull
from gridhaul.transfer.model import Queue

BEAT_SECONDS = 5.0  # the time between two heartbeats of a worker process
SILENT_SECONDS = 3 * BEAT_SECONDS  # a worker process that is silent for longer counts as gone
KEPT_SECONDS = 3600  # how long the last heartbeat of a process is kept

_DETAILS = {
    ChunkServiceUnavailable.code: "The chunk service does not answer the workers; work goes on when it does.",
    StorageFull.code: "The disk of the database is full up to its reserve; delete files or add disk space.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSign:
    """The latest heartbeat of the worker processes that take the same queues and miss the same."""

    queues: frozenset[Queue]
    seconds_ago: float  # on the database's clock
    missing: str | None  # the code of an error: why these processes cannot store a file; None: they can


def no_worker(signs: Sequence[WorkerSign], queue: Queue) -> NoWorker | None:
    """Return the error for a queue without a living worker."""
    silent_seconds = min((sign.seconds_ago for sign in signs if queue in sign.queues), default=None)
    if silent_seconds is None:
        return NoWorker(f"No worker has answered in the last hour (queue: {queue}).")
    if silent_seconds > SILENT_SECONDS:
        return NoWorker(f"No worker has answered for {_duration(silent_seconds)} (queue: {queue}).")
    return None


def no_storing(signs: Sequence[WorkerSign], queue: Queue) -> GridhaulError | None:
    """Return why none of the queue's living workers can store a file; None if one can, or if none lives."""
    living = [sign for sign in signs if queue in sign.queues and sign.seconds_ago <= SILENT_SECONDS]
    if any(sign.missing is None for sign in living):
        return None
    latest = min(living, key=lambda sign: sign.seconds_ago, default=None)
    return _error(latest.missing) if latest and latest.missing else None


def _error(code: str) -> GridhaulError:
    """Return the error with the code. A worker of a newer version may tell a code that is unknown here."""
    detail = _DETAILS.get(code, f"The workers cannot store files: {code}.")
    return (errors.by_code(code) or ChunkServiceUnavailable)(detail)


def _duration(seconds: float) -> str:
    return f"{int(seconds)} s" if seconds < 120 else f"{int(seconds / 60)} min"
