"""Heartbeats: worker processes write them, and the api reads them. Their times are the database server's.

All methods raise DatabaseUnavailable.
"""

from collections.abc import Sequence
from typing import Protocol

from gridhaul.transfer.model import Queue
from gridhaul.transfer.worker_health import HeartbeatGroup


class Heartbeats(Protocol):
    """The heartbeats of one worker process, as that process writes them."""

    async def beat(self, queues: frozenset[Queue], storing_error: str | None, *, passed_over: int) -> None:
        """Write that the process lives and serves the queues. The heartbeat replaces the process's earlier one.

        `storing_error` is the code of the error that keeps the process from storing files, or None if the process can
        store files. `passed_over` counts the messages that the process's worker has passed over since it started.
        """


class HeartbeatLookup(Protocol):
    """The heartbeats of all worker processes, as the api reads them."""

    async def groups(self) -> Sequence[HeartbeatGroup]:
        """Return one group for each combination of worker, queues and storing error, unordered.

        Heartbeats older than KEPT_SECONDS are left out, perhaps a minute late.
        """
