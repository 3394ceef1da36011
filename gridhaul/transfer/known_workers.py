"""The workers that wrote heartbeats in the last hour, each with all its processes together. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gridhaul.transfer.errors import GridhaulError
from gridhaul.transfer.model import Queue
from gridhaul.transfer.worker_health import HeartbeatGroup, storing_error


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownWorker:
    """A worker, which lives if one of its processes lives. Fields that `HeartbeatGroup` has mean the same here."""

    worker: str | None
    host: str
    version: str | None
    queues: frozenset[Queue]
    living: int
    seen_at: datetime
    storing_error: (
        GridhaulError | None
    )  # why none of its living processes can store files; None: one can, or none lives
    passed_over: int


def known_workers(heartbeats: Sequence[HeartbeatGroup]) -> Sequence[KnownWorker]:
    """Return the workers: first those that live, and then those that fell silent, the latest first."""
    groups: dict[str | None, list[HeartbeatGroup]] = defaultdict(list)
    for group in heartbeats:
        groups[group.worker].append(group)
    workers = sorted(map(_worker, groups.values()), key=lambda worker: (worker.host, worker.worker or ""))
    living = [worker for worker in workers if worker.living]
    silent = [worker for worker in workers if not worker.living]
    return [*living, *sorted(silent, key=lambda worker: worker.seen_at, reverse=True)]


def _worker(groups: Sequence[HeartbeatGroup]) -> KnownWorker:
    latest = max(groups, key=lambda group: group.seen_at)
    return KnownWorker(
        worker=latest.worker,
        host=latest.host,
        version=latest.version,
        queues=frozenset(queue for group in groups for queue in group.queues),
        living=sum(group.living for group in groups),
        seen_at=latest.seen_at,
        storing_error=storing_error(groups),
        passed_over=max(group.passed_over for group in groups),
    )
