"""The judgement of heartbeats: which queue has no worker, and why its workers cannot store files."""

from datetime import UTC, datetime, timedelta

import pytest

from gridhaul.transfer.errors import BrokerUnavailable, ChunkServiceUnavailable, StorageFull
from gridhaul.transfer.model import Queue
from gridhaul.transfer.worker_health import SILENT_SECONDS, HeartbeatGroup, storing_obstacle, worker_obstacle

UNREACHABLE, FULL = ChunkServiceUnavailable.code, StorageFull.code
GONE = SILENT_SECONDS + 5
ADVICE = "start one, or look at its log."


def group(seconds_ago: float, storing_error: str | None = None, queue: Queue = Queue.SMALL) -> HeartbeatGroup:
    queues = frozenset({queue, Queue.MAINTENANCE})
    return HeartbeatGroup(
        worker="worker",
        host="host",
        version=None,
        queues=queues,
        living=seconds_ago <= SILENT_SECONDS,
        seen_at=datetime.now(UTC) - timedelta(seconds=seconds_ago),
        seconds_ago=seconds_ago,
        storing_error=storing_error,
        passed_over=0,
    )


@pytest.mark.parametrize(
    ("heartbeats", "detail"),
    [
        ([], f"No worker has answered in the last hour (queue: small); {ADVICE}"),
        ([group(1, queue=Queue.LARGE)], f"No worker has answered in the last hour (queue: small); {ADVICE}"),
        ([group(SILENT_SECONDS)], None),
        ([group(GONE)], f"No worker has answered for 20 s (queue: small); {ADVICE}"),
        ([group(119.9)], f"No worker has answered for 119 s (queue: small); {ADVICE}"),
        ([group(200), group(500)], f"No worker has answered for 3 min (queue: small); {ADVICE}"),
        ([group(GONE), group(3)], None),
        ([group(3, UNREACHABLE)], None),
    ],
)
def test_queue_has_a_worker_while_one_writes_heartbeats(heartbeats: list[HeartbeatGroup], detail: str | None) -> None:
    error = worker_obstacle(heartbeats, Queue.SMALL)
    assert (error.detail if error else None) == detail


@pytest.mark.parametrize(
    ("heartbeats", "code"),
    [
        ([], None),
        ([group(1)], None),
        ([group(1, UNREACHABLE)], UNREACHABLE),
        ([group(1, UNREACHABLE, Queue.LARGE)], None),
        ([group(1, UNREACHABLE), group(2)], None),
        ([group(1, UNREACHABLE), group(GONE)], UNREACHABLE),
        ([group(GONE, UNREACHABLE)], None),
        ([group(2, UNREACHABLE), group(1, FULL)], FULL),
        ([group(1, BrokerUnavailable.code)], BrokerUnavailable.code),
        ([group(1, "of_a_newer_version")], UNREACHABLE),
    ],
)
def test_files_can_be_stored_while_one_living_worker_can(heartbeats: list[HeartbeatGroup], code: str | None) -> None:
    error = storing_obstacle(heartbeats, Queue.SMALL)
    assert (error.code if error else None) == code
