"""Records and `/readyz` report obstacles; tests/journeys/test_obstacles.py tests the same with real processes."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from api.obstacles import Obstacles
from api.parts import Parts
from gridhaul.transfer.broker_health import BrokerContents
from gridhaul.transfer.checks import CheckKind, Mode, NewCheck
from gridhaul.transfer.errors import (
    BrokerRefusesWrites,
    ChunkServiceUnavailable,
    DatabaseUnavailable,
    GridhaulError,
    StorageFull,
)
from gridhaul.transfer.model import Queue
from gridhaul.transfer.states import FILE_MOVES, Action
from gridhaul.transfer.worker_health import HeartbeatGroup
from tests.api.service import Api, serving
from tests.contracts.ports import (
    LONG_LEASE_SECONDS,
    Ports,
    claimed,
    destination,
    memory_ports,
    new_delivery,
    new_file,
    registered,
    stored,
)

ALL = frozenset(Queue)
FULL, UNREACHABLE = StorageFull.code, ChunkServiceUnavailable.code


@pytest.fixture
def ports() -> Ports:
    return memory_ports(lease_seconds=LONG_LEASE_SECONDS)


@pytest.fixture
async def api(ports: Ports) -> AsyncIterator[Api]:
    async with serving(ports) as api:
        yield api


async def refuse() -> BrokerContents:
    raise BrokerRefusesWrites("The broker refuses writes.")


class UnreadableHeartbeats:
    """The heartbeats of a database that does not answer."""

    async def groups(self) -> Sequence[HeartbeatGroup]:
        raise DatabaseUnavailable("The database does not answer.")


async def small_is_taken() -> BrokerContents:
    return BrokerContents(taken=frozenset({Queue.SMALL}), foreign_messages=0)


async def waiting(api: Api, path: str) -> str | None:
    """Return the code that the record at the path waits with, after one look at workers and broker."""
    await api.obstacles.look()
    obstacle = (await api.http.get(path)).json()["waiting"]
    return obstacle["code"] if obstacle else None


async def parts(api: Api) -> dict[str, Any]:
    """Return the states and notes that `/readyz` reports after one look at workers and broker."""
    await api.obstacles.look()
    answer = await api.http.get("/readyz")
    assert answer.status_code == 200
    return dict(answer.json())


async def test_file_waits_for_a_worker_of_its_own_queue(api: Api, ports: Ports) -> None:
    small, large = await registered(ports), await registered(ports, new_file(length=1000))
    await ports.new_heartbeats().beat(frozenset({Queue.SMALL}), None, passed_over=0)
    assert await waiting(api, f"/files/{small.id}") is None
    assert await waiting(api, f"/files/{large.id}") == "no_worker"
    listed = (await api.http.get("/files")).json()["files"]
    assert [file["waiting"] and file["waiting"]["code"] for file in listed] == ["no_worker", None]


@pytest.mark.parametrize("storing_error", [UNREACHABLE, FULL])
async def test_file_waits_while_workers_cannot_store_it(api: Api, ports: Ports, storing_error: str) -> None:
    await ports.new_heartbeats().beat(ALL, storing_error, passed_over=0)
    new, storing = await registered(ports), await claimed(ports, await registered(ports))
    assert await waiting(api, f"/files/{new.id}") == storing_error
    assert await waiting(api, f"/files/{storing.id}") == storing_error


async def test_delivery_does_not_wait_for_the_chunk_service(api: Api, ports: Ports) -> None:
    await ports.new_heartbeats().beat(ALL, UNREACHABLE, passed_over=0)
    delivery, _ = await ports.deliveries.open(new_delivery(destination()))
    assert await waiting(api, f"/deliveries/{delivery.id}") is None


async def test_delivery_and_check_wait_for_a_worker(api: Api, ports: Ports) -> None:
    delivery, _ = await ports.deliveries.open(new_delivery(destination()))
    check, _ = await ports.checks.open(NewCheck(kind=CheckKind.GC, mode=Mode.REPORT))
    assert await waiting(api, f"/deliveries/{delivery.id}") == "no_worker"
    assert await waiting(api, f"/checks/{check.id}") == "no_worker"


async def test_record_that_is_at_rest_waits_for_nothing(api: Api, ports: Ports) -> None:
    done, paused = await stored(ports), await registered(ports)
    await ports.files.move(paused.id, FILE_MOVES[Action.PAUSE])
    assert await waiting(api, f"/files/{done.id}") is None
    assert await waiting(api, f"/files/{paused.id}") is None


async def test_upload_that_its_client_sends_waits_for_nobody(ports: Ports) -> None:
    """The client sends its bytes without a worker. A worker is needed once all of them are there."""
    async with serving(ports, check_broker=refuse) as api:
        begun = await api.http.post("/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "5"})
        (file,) = (await api.http.get("/files")).json()["files"]
        assert (begun.status_code, file["state"]) == (201, "RECEIVING")
        assert await waiting(api, f"/files/{file['file_id']}") is None
        uploads = ports.uploads_living(60)
        held = await uploads.take(file["file_id"], holder="x", new_content_id=ports.contents.new_id())
        assert held is not None
        await uploads.begin_storing(held.lease)
        assert await waiting(api, f"/files/{file['file_id']}") == "no_worker"


async def test_only_a_record_that_needs_a_hint_waits_for_the_broker(ports: Ports) -> None:
    await ports.new_heartbeats().beat(ALL, None, passed_over=0)
    new, storing = await registered(ports), await claimed(ports, await registered(ports))
    async with serving(ports, check_broker=refuse) as api:
        assert await waiting(api, f"/files/{new.id}") == "broker_refuses_writes"
        assert await waiting(api, f"/files/{storing.id}") is None


async def test_record_waits_whose_queue_cannot_be_kept_in_redis(ports: Ports) -> None:
    await ports.new_heartbeats().beat(ALL, None, passed_over=0)
    small, large = await registered(ports), await registered(ports, new_file(length=1000))
    async with serving(ports, check_broker=small_is_taken) as api:
        assert await waiting(api, f"/files/{small.id}") == "broker_key_taken"
        assert await waiting(api, f"/files/{large.id}") is None


async def test_readyz_names_the_key_that_is_taken_and_what_to_do(ports: Ports) -> None:
    async with serving(ports, check_broker=small_is_taken) as api:
        states = await parts(api)
    assert states["redis"] == "broker_key_taken"
    assert (
        "`small`. Workers learn of no new work in these queues. Rename or delete these keys" in states["redis_detail"]
    )


async def test_readyz_names_the_list_that_keeps_foreign_messages(ports: Ports) -> None:
    async def two_are_foreign() -> BrokerContents:
        return BrokerContents(taken=frozenset(), foreign_messages=2)

    async with serving(ports, check_broker=two_are_foreign) as api:
        states = await parts(api)
    assert states["redis"] == "foreign_messages"
    assert states["redis_detail"].startswith("Workers found 2 messages of another system")
    assert "`gridhaul:foreign`" in states["redis_detail"]


async def test_readyz_counts_the_messages_that_workers_passed_over(api: Api, ports: Ports) -> None:
    await ports.new_heartbeats("one").beat(ALL, None, passed_over=2)
    await ports.new_heartbeats("two").beat(ALL, None, passed_over=3)
    assert (await parts(api))["passed_over_messages"] == 5


async def test_answer_of_an_action_reports_the_obstacle(api: Api, ports: Ports) -> None:
    file = await registered(ports)
    await api.obstacles.look()
    await ports.files.move(file.id, FILE_MOVES[Action.PAUSE])
    resumed = (await api.http.post(f"/files/{file.id}/resume")).json()
    assert resumed["waiting"]["code"] == "no_worker"


@pytest.mark.parametrize(
    ("storing_error", "chunk_service", "disk"),
    [(None, "ok", "ok"), (UNREACHABLE, UNREACHABLE, UNREACHABLE), (FULL, "ok", FULL)],
)
async def test_readyz_reports_why_workers_cannot_store_files(
    api: Api, ports: Ports, storing_error: str | None, chunk_service: str, disk: str
) -> None:
    await ports.new_heartbeats().beat(frozenset({Queue.SMALL, Queue.MAINTENANCE}), storing_error, passed_over=0)
    assert await parts(api) == {
        "indexes": "ok",
        "redis": "ok",
        "worker_small": "ok",
        "worker_large": "no_worker",
        "worker_maintenance": "ok",
        "chunk_service": chunk_service,
        "disk": disk,
    }


async def test_without_workers_nobody_knows_of_the_chunk_service(api: Api) -> None:
    states = await parts(api)
    assert (states["chunk_service"], states["disk"]) == ("no_worker", "no_worker")


async def test_parts_that_workers_report_are_unknown_while_heartbeats_cannot_be_read() -> None:
    obstacles = Obstacles(UnreadableHeartbeats(), refuse)
    await obstacles.look()
    checks = dict(Parts(obstacles).checks())
    with pytest.raises(BrokerRefusesWrites):
        await checks.pop("redis")()
    for check in checks.values():
        with pytest.raises(DatabaseUnavailable):
            await check()


@pytest.mark.parametrize("part", ["redis", "worker_small", "chunk_service", "disk"])
async def test_error_that_every_check_raises_keeps_a_short_traceback(part: str) -> None:
    obstacles = Obstacles(UnreadableHeartbeats(), refuse)
    await obstacles.look()
    check = Parts(obstacles).checks()[part]
    depths = set()
    for _ in range(3):
        with pytest.raises(GridhaulError) as caught:
            await check()
        depths.add(len(caught.traceback))
    assert len(depths) == 1


async def test_readyz_repeats_the_latest_look_and_does_not_look_itself(ports: Ports) -> None:
    looks = 0

    async def count() -> BrokerContents:
        nonlocal looks
        looks += 1
        return BrokerContents(taken=frozenset(), foreign_messages=0)

    async with serving(ports, check_broker=count) as api:
        await parts(api)
        await api.http.get("/readyz")
    assert looks == 1
