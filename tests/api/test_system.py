"""`/workers` and `/store`: what admins see of the system."""

from dataclasses import replace
from typing import Any

from api.obstacles import Obstacles
from gridhaul import __version__
from gridhaul.transfer.broker_health import BrokerContents
from gridhaul.transfer.checks import RUNNABLE, CheckKind, CheckState, Mode, NewCheck
from gridhaul.transfer.errors import ChunkServiceUnavailable
from gridhaul.transfer.findings import FindingCode
from gridhaul.transfer.model import Queue
from tests.api.service import Api, serving
from tests.contracts.ports import Ports, eventually

UNREACHABLE = ChunkServiceUnavailable.code


async def test_workers_are_shown_with_all_their_processes_together(api: Api, ports: Ports) -> None:
    for _ in range(2):
        await ports.new_heartbeats("one").beat(frozenset({Queue.SMALL, Queue.LARGE}), None, passed_over=3)
    await ports.new_heartbeats("two").beat(frozenset({Queue.MAINTENANCE}), UNREACHABLE, passed_over=0)
    await api.obstacles.look()
    first, second = (await api.http.get("/workers")).json()["workers"]
    assert first.pop("last_beat_at").endswith("Z")
    assert first == {
        "worker": "one",
        "host": "host",
        "queues": ["large", "small"],
        "processes": 2,
        "living": True,
        "version": __version__,
        "storing_error": None,
        "passed_over": 3,
    }
    assert (second["worker"], second["processes"], second["storing_error"]["code"]) == ("two", 1, UNREACHABLE)


async def test_system_without_a_worker_shows_none(api: Api) -> None:
    await api.obstacles.look()
    assert (await api.http.get("/workers")).json() == {"workers": []}


async def test_workers_are_unknown_while_no_look_could_read_the_heartbeats(api: Api, ports: Ports) -> None:
    async def look_at_broker() -> BrokerContents:
        return BrokerContents(taken=frozenset(), foreign_messages=0)

    never_looked = Obstacles(ports.heartbeat_lookup, look_at_broker)
    api.app.state.service = replace(api.app.state.service, obstacles=never_looked)
    answer = await api.http.get("/workers")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")


async def test_store_shows_sizes_of_the_database_and_orphans_of_the_last_check(api: Api, ports: Ports) -> None:
    empty = (await api.http.get("/store")).json()
    assert empty["orphans"] is None
    assert empty["total_bytes"] == empty["free_bytes"] + empty["used_bytes"]
    assert min(empty["free_bytes"], empty["used_bytes"]) > 0
    opened, _ = await ports.checks.open(NewCheck(kind=CheckKind.GC, mode=Mode.REPORT))
    check = await ports.checks.claim(opened.id, holder="worker", from_states=RUNNABLE, to_state=CheckState.RUNNING)
    assert check is not None
    counts = {FindingCode.CHUNKS_ORPHANED.value: 2, FindingCode.CONTENT_UNREFERENCED.value: 1}
    await ports.checks.finish(check.lease, CheckState.DONE, counts=counts)
    shown = await eventually(lambda: measured_after(api, empty["measured_at"]))
    assert shown is not None
    assert shown["data_bytes"] > empty["data_bytes"]
    assert shown["measured_at"] >= shown["orphans"].pop("checked_at") >= empty["measured_at"]
    assert shown["orphans"] == {
        "chunks": 2,
        "inline": 0,
        "manifests": 0,
        "bucket_files": 0,
        "unreferenced": 1,
        "check_id": check.id,
        "mode": "report",
    }


async def measured_after(api: Api, measured_at: str) -> dict[str, Any] | None:
    """Return the store's size once the last look has rested long enough for another one, else None."""
    shown: dict[str, Any] = (await api.http.get("/store")).json()
    return shown if shown["measured_at"] > measured_at else None


async def test_store_is_looked_at_once_in_a_while(ports: Ports) -> None:
    async with serving(ports, fresh_seconds=60) as api:
        first = (await api.http.get("/store")).json()
        assert (await api.http.get("/store")).json() == first
