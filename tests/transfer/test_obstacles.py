"""The judgement of heartbeats: which queue has no worker, and why its workers cannot store files."""

import pytest

from gridhaul.transfer.errors import BrokerUnavailable, ChunkServiceUnavailable, StorageFull
from gridhaul.transfer.model import Queue
from gridhaul.transfer.obstacles import SILENT_SECONDS, WorkerSign, no_storing, no_worker

AWAY, FULL = ChunkServiceUnavailable.code, StorageFull.code
GONE = SILENT_SECONDS + 5


def sign(seconds_ago: float, missing: str | None = None, queue: Queue = Queue.SMALL) -> WorkerSign:
    return WorkerSign(queues=frozenset({queue, Queue.MAINTENANCE}), seconds_ago=seconds_ago, missing=missing)


@pytest.mark.parametrize(
    ("signs", "detail"),
    [
        ([], "No worker has answered in the last hour (queue: small)."),
        ([sign(1, queue=Queue.LARGE)], "No worker has answered in the last hour (queue: small)."),
        ([sign(SILENT_SECONDS)], None),
        ([sign(GONE)], "No worker has answered for 20 s (queue: small)."),
        ([sign(119.9)], "No worker has answered for 119 s (queue: small)."),
        ([sign(200), sign(500)], "No worker has answered for 3 min (queue: small)."),
        ([sign(GONE), sign(3)], None),
        ([sign(3, AWAY)], None),
    ],
)
def test_queue_has_a_worker_while_one_answers(signs: list[WorkerSign], detail: str | None) -> None:
    error = no_worker(signs, Queue.SMALL)
    assert (error.detail if error else None) == detail


@pytest.mark.parametrize(
    ("signs", "code"),
    [
        ([], None),
        ([sign(1)], None),
        ([sign(1, AWAY)], AWAY),
        ([sign(1, AWAY, Queue.LARGE)], None),
        ([sign(1, AWAY), sign(2)], None),
        ([sign(1, AWAY), sign(GONE)], AWAY),
        ([sign(GONE, AWAY)], None),
        ([sign(2, AWAY), sign(1, FULL)], FULL),
        ([sign(1, BrokerUnavailable.code)], BrokerUnavailable.code),
        ([sign(1, "of_a_newer_version")], AWAY),
    ],
)
def test_files_can_be_stored_while_one_living_worker_can(signs: list[WorkerSign], code: str | None) -> None:
    error = no_storing(signs, Queue.SMALL)
    assert (error.code if error else None) == code
