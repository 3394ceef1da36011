"""Workers are known by their heartbeats: all processes of one together, first those that live."""

from datetime import UTC, datetime, timedelta

from gridhaul.transfer.errors import ChunkServiceUnavailable
from gridhaul.transfer.known_workers import known_workers
from gridhaul.transfer.model import Queue
from gridhaul.transfer.worker_health import SILENT_SECONDS, HeartbeatGroup

NOW = datetime(2025, 11, 27, tzinfo=UTC)
UNREACHABLE = ChunkServiceUnavailable.code
GONE = SILENT_SECONDS + 5


def group(
    worker: str | None,
    seconds_ago: float = 1,
    *,
    processes: int = 1,
    error: str | None = None,
    queue: Queue = Queue.SMALL,
    passed_over: int = 0,
    version: str | None = "2",
) -> HeartbeatGroup:
    return HeartbeatGroup(
        worker=worker,
        host=f"host of {worker}",
        version=version,
        queues=frozenset({queue}),
        living=processes if seconds_ago <= SILENT_SECONDS else 0,
        seen_at=NOW - timedelta(seconds=seconds_ago),
        seconds_ago=seconds_ago,
        storing_error=error,
        passed_over=passed_over,
    )


def test_groups_of_a_worker_are_one_worker() -> None:
    able = group("one", 2, processes=3, passed_over=1)
    unable = group("one", 1, processes=2, error=UNREACHABLE, queue=Queue.LARGE, passed_over=4)
    (worker,) = known_workers([able, unable, group("one", GONE, version="1", error=UNREACHABLE)])
    assert (worker.worker, worker.host, worker.version) == ("one", "host of one", "2")
    assert worker.queues == {Queue.SMALL, Queue.LARGE}
    assert (worker.living, worker.passed_over) == (5, 4)
    assert worker.seen_at == NOW - timedelta(seconds=1)
    assert worker.storing_error is None, "three of its processes can store files"


def test_worker_none_of_whose_living_processes_can_store_files_says_why() -> None:
    (worker,) = known_workers([group("one", error=UNREACHABLE), group("one", GONE)])
    assert worker.storing_error is not None
    assert worker.storing_error.code == UNREACHABLE


def test_worker_that_fell_silent_has_no_processes_and_comes_after_those_that_live() -> None:
    heartbeats = [group("d", GONE + 9), group("c", GONE, error=UNREACHABLE), group("b"), group(None), group("a")]
    workers = known_workers(heartbeats)
    assert [worker.worker for worker in workers] == [None, "a", "b", "c", "d"]
    assert [worker.living for worker in workers] == [1, 1, 1, 0, 0]
    assert workers[3].storing_error is None


def test_without_heartbeats_no_worker_is_known() -> None:
    assert known_workers([]) == []
