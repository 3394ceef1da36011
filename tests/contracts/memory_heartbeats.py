"""Memory twins of the heartbeats, over one dict for all worker processes."""

import time
from collections.abc import Sequence

from gridhaul.transfer.model import Queue
from gridhaul.transfer.ports.heartbeats import HeartbeatLookup, Heartbeats
from gridhaul.transfer.worker_health import KEPT_SECONDS, HeartbeatGroup

Shared = tuple[frozenset[Queue], str | None]  # the queues and the storing error, which all processes of a group share


class MemoryHeartbeatLookup:
    """A twin of `transfer.ports.heartbeats.HeartbeatLookup`."""

    def __init__(self) -> None:
        self.latest: dict[object, tuple[Shared, float]] = {}

    async def groups(self) -> Sequence[HeartbeatGroup]:
        newest: dict[Shared, float] = {}
        for shared, at in self.latest.values():
            newest[shared] = max(at, newest.get(shared, at))
        ages = {shared: time.monotonic() - at for shared, at in newest.items()}
        return [
            HeartbeatGroup(queues=queues, seconds_ago=age, storing_error=storing_error)
            for (queues, storing_error), age in ages.items()
            if age < KEPT_SECONDS
        ]


class MemoryHeartbeats:
    """A twin of `transfer.ports.heartbeats.Heartbeats`."""

    def __init__(self, lookup: MemoryHeartbeatLookup) -> None:
        self._lookup = lookup

    async def beat(self, queues: frozenset[Queue], storing_error: str | None) -> None:
        self._lookup.latest[self] = (queues, storing_error), time.monotonic()


def _check(lookup: MemoryHeartbeatLookup) -> None:
    """Let the type checker see that the twins have the methods of their ports."""
    _: tuple[HeartbeatLookup, Heartbeats] = (lookup, MemoryHeartbeats(lookup))
