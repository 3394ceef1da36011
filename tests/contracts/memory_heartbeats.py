"""Memory twins of the heartbeats, over one dict for all worker processes."""

import time
from collections.abc import Sequence

from gridhaul.transfer.model import Queue
from gridhaul.transfer.ports.heartbeats import HeartbeatLookup, Heartbeats
from gridhaul.transfer.worker_health import KEPT_SECONDS, HeartbeatGroup

# The worker, the queues and the storing error, which all processes of a group share
Shared = tuple[str, frozenset[Queue], str | None]


class MemoryHeartbeatLookup:
    """A twin of `transfer.ports.heartbeats.HeartbeatLookup`."""

    def __init__(self) -> None:
        self.latest: dict[object, tuple[Shared, float, int]] = {}

    async def groups(self) -> Sequence[HeartbeatGroup]:
        newest: dict[Shared, tuple[float, int]] = {}
        for shared, at, count in self.latest.values():
            other_at, other_count = newest.get(shared, (at, count))
            newest[shared] = max(at, other_at), max(count, other_count)
        now = time.monotonic()
        return [
            HeartbeatGroup(
                worker=worker, queues=queues, seconds_ago=now - at, storing_error=storing_error, passed_over=count
            )
            for (worker, queues, storing_error), (at, count) in newest.items()
            if now - at < KEPT_SECONDS
        ]


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
