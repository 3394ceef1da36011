"""The heartbeats by which workers tell that they live, and what they miss. They carry the database server's time.

All methods raise DatabaseUnavailable.
"""

from collections.abc import Sequence
from typing import Protocol

from gridhaul.transfer.model import Queue
from gridhaul.transfer.obstacles import WorkerSign


class Heartbeats(Protocol):
    """The heartbeats of one worker process, as that process writes them."""

    async def beat(self, queues: frozenset[Queue], missing: str | None) -> None:
        """Write that the process lives, takes messages of the queues, and cannot store files for the reason `missing`.

        `missing` is the code of an error, or None if the process can store files. The heartbeat replaces the earlier
        one of the process.
        """


class WorkerSigns(Protocol):
    """The heartbeats of all worker processes, as the api reads them."""

    async def signs(self) -> Sequence[WorkerSign]:
        """Return the latest heartbeats, in no order. A heartbeat is forgotten KEPT_SECONDS later, or soon after."""
