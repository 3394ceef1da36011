"""Memory twins of the heartbeats, over one dict for all worker processes."""

import time
from collections import defaultdict
from collections.abc import Sequence

from gridhaul import __version__
from gridhaul.transfer.model import Queue
from gridhaul.transfer.ports.heartbeats import HeartbeatLookup, Heartbeats
from gridhaul.transfer.worker_health import KEPT_SECONDS, SILENT_SECONDS, HeartbeatGroup
from tests.contracts.memory_registry import moment

# The worker, the queues and the storing error, which all processes of a group share
Shared = tuple[str, frozenset[Queue], str | None]


class MemoryHeartbeatLookup:
    """A twin of `transfer.ports.heartbeats.HeartbeatLookup`."""

    def __init__(self) -> None:
        self.latest: dict[object, tuple[Shared, float, int]] = {}

    async def groups(self) -> Sequence[HeartbeatGroup]:
        now = time.monotonic()
        groups: dict[Shared, list[tuple[float, int]]] = defaultdict(list)
        for shared, at, count in self.latest.values():
            if now - at < KEPT_SECONDS:
                groups[shared].append((now - at, count))
        return [_group(shared, beats, now) for shared, beats in groups.items()]


def _group(shared: Shared, beats: Sequence[tuple[float, int]], now: float) -> HeartbeatGroup:
    worker, queues, storing_error = shared
    ages, counts = [age for age, _ in beats], [count for _, count in beats]
    return HeartbeatGroup(
        worker=worker,
        host="host",
        version=__version__,
        queues=queues,
        living=sum(age <= SILENT_SECONDS for age in ages),
        seen_at=moment(now - min(ages)),
        seconds_ago=min(ages),
        storing_error=storing_error,
        passed_over=max(counts),
    )


class MemoryHeartbeats:
    """A twin of `transfer.ports.heartbeats.Heartbeats`."""

    def __init__(self, lookup: MemoryHeartbeatLookup, *, worker: str) -> None:
        self._lookup = lookup
        self._worker = worker

    async def beat(self, queues: frozenset[Queue], storing_error: str | None, *, passed_over: int) -> None:
        self._lookup.latest[self] = (self._worker, queues, storing_error), time.monotonic(), passed_over


def _check(lookup: MemoryHeartbeatLookup) -> None:
    """Let the type checker see that the twins have the methods of their ports."""
    _: tuple[HeartbeatLookup, Heartbeats] = (lookup, MemoryHeartbeats(lookup, worker="worker"))
