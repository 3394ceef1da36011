"""The parts that the api's `/readyz` tells of beside MongoDB, each with its check."""

from collections.abc import Callable, Mapping, Sequence

from api.obstacles import Obstacles
from gridhaul.asgi.health import Check
from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError, StorageFull
from gridhaul.transfer.model import Queue
from gridhaul.transfer.obstacles import WorkerSign, no_storing, no_worker

STORING_QUEUES = (Queue.SMALL, Queue.LARGE)

Finding = Callable[[], GridhaulError | None]


def parts_of(obstacles: Obstacles) -> Mapping[str, Check]:
    """Return a check for the broker, for the workers of each queue, and for what workers tell of storing files."""

    def check(find: Finding) -> Check:
        async def look_and_raise() -> None:
            await obstacles.look()
            if (error := find()) is not None:
                raise error

        return look_and_raise

    def from_signs(judge: Callable[[Sequence[WorkerSign]], GridhaulError | None]) -> Check:
        silent = DatabaseUnavailable("The database does not tell of the workers.")
        return check(lambda: silent if obstacles.signs is None else judge(obstacles.signs))

    return {
        "redis": check(lambda: obstacles.broker),
        **{f"worker_{queue}": from_signs(_of_queue(queue)) for queue in Queue},
        "chunk_service": from_signs(_chunk_service),
        "disk": from_signs(_storing),
    }


def _of_queue(queue: Queue) -> Callable[[Sequence[WorkerSign]], GridhaulError | None]:
    return lambda signs: no_worker(signs, queue)


def _storing(signs: Sequence[WorkerSign]) -> GridhaulError | None:
    """Return why files cannot be stored. Nobody knows whether they can while no worker of a storing queue lives."""
    silent = [no_worker(signs, queue) for queue in STORING_QUEUES]
    if all(silent):
        return silent[0]
    return next(filter(None, (no_storing(signs, queue) for queue in STORING_QUEUES)), None)


def _chunk_service(signs: Sequence[WorkerSign]) -> GridhaulError | None:
    """Return the same, but nothing if the chunk service answers and its disk is full."""
    error = _storing(signs)
    return None if isinstance(error, StorageFull) else error
