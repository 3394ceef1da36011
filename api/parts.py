"""The parts of the system that the api's `/readyz` reports besides MongoDB, each with its check."""

from collections.abc import Mapping
from functools import partial

from api.obstacles import Obstacles
from gridhaul.asgi.health import PartCheck
from gridhaul.transfer.broker_health import contents_error
from gridhaul.transfer.errors import GridhaulError, StorageFull
from gridhaul.transfer.model import Queue
from gridhaul.transfer.worker_health import passed_over_messages, storing_obstacle, worker_obstacle

STORING_QUEUES = (Queue.SMALL, Queue.LARGE)


class Parts:
    """The checks of the broker, of each queue's workers, of the chunk service and of the database's disk.

    Each check raises the obstacle that the latest look found, so no check waits.
    """

    def __init__(self, obstacles: Obstacles) -> None:
        self._obstacles = obstacles

    def checks(self) -> Mapping[str, PartCheck]:
        return {
            "redis": self._check_broker,
            **{f"worker_{queue}": partial(self._check_workers, queue) for queue in Queue},
            "chunk_service": self._check_chunk_service,
            "disk": self._check_disk,
        }

    def notes(self) -> Mapping[str, str | int]:
        """Return the sentence on the broker, and the count of messages that workers passed over, if there are any."""
        error, passed_over = self._broker_error(), passed_over_messages(self._obstacles.heartbeats or ())
        return ({"redis_detail": error.detail} if error else {}) | (
            {"passed_over_messages": passed_over} if passed_over else {}
        )

    async def _check_broker(self) -> None:
        if (error := self._broker_error()) is not None:
            # Each raise adds to an error's traceback, and the look's error is raised again until the next look.
            raise error.with_traceback(None)

    def _broker_error(self) -> GridhaulError | None:
        contents = self._obstacles.broker_contents
        return self._obstacles.broker_error if contents is None else contents_error(contents)

    async def _check_workers(self, queue: Queue) -> None:
        if (error := worker_obstacle(self._obstacles.readable_heartbeats(), queue)) is not None:
            raise error

    async def _check_chunk_service(self) -> None:
        """Raise the error that keeps files from being stored, unless the chunk service itself reported a full disk."""
        error = self._storing_obstacle()
        if error is not None and not isinstance(error, StorageFull):
            raise error

    async def _check_disk(self) -> None:
        if (error := self._storing_obstacle()) is not None:
            raise error

    def _storing_obstacle(self) -> GridhaulError | None:
        """Return the error that keeps files from being stored, also if no worker lives that could report on storing."""
        heartbeats = self._obstacles.readable_heartbeats()
        without_workers = [worker_obstacle(heartbeats, queue) for queue in STORING_QUEUES]
        if all(without_workers):
            return without_workers[0]
        return next(filter(None, (storing_obstacle(heartbeats, queue) for queue in STORING_QUEUES)), None)
