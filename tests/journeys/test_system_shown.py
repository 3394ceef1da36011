"""Workers, the store and the activity at a target, as a running system shows them."""

from pathlib import Path
from typing import Any

from gridhaul import __version__
from gridhaul.embedded.system import System
from gridhaul.transfer.model import Queue
from tests.journeys.operator import MIB, Operator, make_file, wait_for

SECONDS = 60.0


def shown(operator: Operator, path: str) -> dict[str, Any]:
    answer = operator.http.get(path)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_workers_of_a_running_system_live_and_tell_their_version(system: System, operator: Operator) -> None:
    def living() -> list[dict[str, Any]] | None:
        workers = [worker for worker in shown(operator, "/workers")["workers"] if worker["living"]]
        return workers if {name for one in workers for name in one["queues"]} == set(Queue) else None

    for worker in wait_for(living, seconds=SECONDS, what="a worker of every queue lives"):
        assert worker["processes"] > 0
        assert worker["host"]
        assert (worker["version"], worker["storing_error"], worker["passed_over"]) == (__version__, None, 0)


def test_store_holds_a_stored_file_and_a_gc_check_tells_of_orphans(operator: Operator, sources: Path) -> None:
    before = shown(operator, "/store")
    operator.stored(operator.prepare(make_file(sources / "held.bin", 4 * MIB)))
    check = operator.http.post("/checks", json={"kind": "gc", "mode": "report"}).json()

    def measured() -> dict[str, Any] | None:
        store = shown(operator, "/store")
        done = store["orphans"] and store["orphans"]["check_id"] == check["check_id"]
        return store if done and store["measured_at"] > before["measured_at"] else None

    after = wait_for(measured, seconds=SECONDS, what="the store is measured after the check")
    assert after["data_bytes"] >= 4 * MIB
    assert after["total_bytes"] == after["free_bytes"] + after["used_bytes"]
    assert after["orphans"]["mode"] == "report"


def test_delivery_counts_as_the_last_one_at_its_target(operator: Operator, sources: Path) -> None:
    delivery = operator.delivered(operator.prepare(make_file(sources / "active.bin", MIB), to="directory"))

    def last() -> dict[str, Any] | None:
        activity = shown(operator, "/targets/directory/activity")
        newest = activity["last_delivered"]
        return activity if newest and newest["delivery_id"] == delivery["delivery_id"] else None

    activity = wait_for(last, seconds=SECONDS, what="the delivery is the last one")
    assert activity["delivered"] >= 1
    assert activity["last_delivered"]["at"] == delivery["receipt"]["delivered_at"]
    assert activity["owner"] == "operator"
