"""Judges by the workers' heartbeats whether a queue has a living worker, and why workers cannot store files. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gridhaul.transfer import errors
from gridhaul.transfer.errors import DISK_FULL, ChunkServiceUnavailable, GridhaulError, NoWorker, StorageFull
from gridhaul.transfer.model import Queue

BEAT_SECONDS = 5.0  # the time between two heartbeats of a worker process
SILENT_SECONDS = 3 * BEAT_SECONDS  # a worker process whose latest heartbeat is older counts as gone
KEPT_SECONDS = 3600  # how long the database keeps the latest heartbeat of a process

_DETAILS = {
    ChunkServiceUnavailable.code: "The workers cannot reach the chunk service, or it is not ready; look at its log. "
    "Work continues by itself.",
    StorageFull.code: DISK_FULL,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class HeartbeatGroup:
    """The latest heartbeat of all processes of a worker that have the same storing error."""

    worker: str | None  # a name that no other worker has; None: the worker has an older version
    host: str  # where the worker runs, as the host names itself
    version: str | None  # of Gridhaul, as the worker runs it; None: the worker has an older version
    queues: frozenset[Queue]
    living: int  # how many of these processes wrote a heartbeat within SILENT_SECONDS
    seen_at: datetime  # when the latest heartbeat was written, by the database's clock
    seconds_ago: float  # the age of the latest heartbeat, by the database's clock
    storing_error: str | None  # the code of the error that keeps these processes from storing files; None: they can
    passed_over: int  # how many messages the worker has passed over since it started


def passed_over_messages(heartbeats: Sequence[HeartbeatGroup]) -> int:
    """Return how many messages all workers have passed over that wrote a heartbeat within KEPT_SECONDS."""
    counts: dict[str | None, int] = {}
    for group in heartbeats:
        counts[group.worker] = max(group.passed_over, counts.get(group.worker, 0))
    return sum(counts.values())


def worker_obstacle(heartbeats: Sequence[HeartbeatGroup], queue: Queue) -> NoWorker | None:
    """Return the error if the queue has no living worker, else None."""
    silent_seconds = min((group.seconds_ago for group in heartbeats if queue in group.queues), default=None)
    if silent_seconds is None:
        return NoWorker(f"No worker has answered in the last hour (queue: {queue}); start one, or look at its log.")
    if silent_seconds > SILENT_SECONDS:
        silence = _duration(silent_seconds)
        return NoWorker(f"No worker has answered for {silence} (queue: {queue}); start one, or look at its log.")
    return None


def storing_obstacle(heartbeats: Sequence[HeartbeatGroup], queue: Queue) -> GridhaulError | None:
    """Return why none of the queue's living workers can store files; None if one of them can, or if none lives."""
    return storing_error([group for group in heartbeats if queue in group.queues])


def storing_error(heartbeats: Sequence[HeartbeatGroup]) -> GridhaulError | None:
    """Return why none of the living processes can store files; None if one of them can, or if none lives."""
    living = [group for group in heartbeats if group.seconds_ago <= SILENT_SECONDS]
    if any(group.storing_error is None for group in living):
        return None
    latest = min(living, key=lambda group: group.seconds_ago, default=None)
    return _error(latest.storing_error) if latest and latest.storing_error else None


def _error(code: str) -> GridhaulError:
    """Return the error with the code, or ChunkServiceUnavailable if only a newer version of the worker has the code."""
    detail = _DETAILS.get(code, f"The workers cannot store files: {code}.")
    return (errors.by_code(code) or ChunkServiceUnavailable)(detail)


def _duration(seconds: float) -> str:
    return f"{int(seconds)} s" if seconds < 120 else f"{int(seconds / 60)} min"
