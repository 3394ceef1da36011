"""Memory twins of the heartbeats, over one dict for all worker processes."""

import time
from collections.abc import Sequence

from gridhaul.transfer.model import Queue
from gridhaul.transfer.obstacles import KEPT_SECONDS, WorkerSign
from gridhaul.transfer.ports.heartbeats import Heartbeats, WorkerSigns

Told = tuple[frozenset[Queue], str | None]


class MemoryWorkerSigns:
    """A twin of `transfer.ports.heartbeats.WorkerSigns`."""

    def __init__(self) -> None:
        self.latest: dict[object, tuple[Told, float]] = {}

    async def signs(self) -> Sequence[WorkerSign]:
        newest: dict[Told, float] = {}
        for told, at in self.latest.values():
            newest[told] = max(at, newest.get(told, at))
        ages = {told: time.monotonic() - at for told, at in newest.items()}
        return [
            WorkerSign(queues=queues, seconds_ago=age, missing=missing)
            for (queues, missing), age in ages.items()
            if age < KEPT_SECONDS
        ]


class MemoryHeartbeats:
    """A twin of `transfer.ports.heartbeats.Heartbeats`."""

    def __init__(self, workers: MemoryWorkerSigns) -> None:
        self._workers = workers

    async def beat(self, queues: frozenset[Queue], missing: str | None) -> None:
        self._workers.latest[self] = (queues, missing), time.monotonic()


def _check(workers: MemoryWorkerSigns) -> None:
    """Let the type checker see that the twins have the methods of their ports."""
    _: tuple[WorkerSigns, Heartbeats] = (workers, MemoryHeartbeats(workers))
