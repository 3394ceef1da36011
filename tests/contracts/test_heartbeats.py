"""The suite of `Heartbeats` and `WorkerSigns`."""

from collections.abc import Sequence

from gridhaul.transfer.errors import ChunkServiceUnavailable
from gridhaul.transfer.model import Queue
from gridhaul.transfer.obstacles import WorkerSign
from tests.contracts.ports import Ports, eventually

SMALL = frozenset({Queue.SMALL, Queue.MAINTENANCE})
LARGE = frozenset({Queue.LARGE})
AWAY = ChunkServiceUnavailable.code


async def told(ports: Ports) -> set[tuple[frozenset[Queue], str | None]]:
    return {(sign.queues, sign.missing) for sign in await ports.worker_signs.signs()}


async def test_without_a_worker_there_is_no_sign(ports: Ports) -> None:
    assert not await ports.worker_signs.signs()


async def test_sign_tells_queues_and_what_is_missing(ports: Ports) -> None:
    await ports.new_heartbeats().beat(SMALL, None)
    await ports.new_heartbeats().beat(LARGE, AWAY)
    assert await told(ports) == {(SMALL, None), (LARGE, AWAY)}


async def test_later_heartbeat_of_a_process_replaces_the_earlier(ports: Ports) -> None:
    heartbeats = ports.new_heartbeats()
    await heartbeats.beat(LARGE, AWAY)
    await heartbeats.beat(LARGE, None)
    assert await told(ports) == {(LARGE, None)}


async def test_age_of_a_sign_grows_until_the_next_heartbeat(ports: Ports) -> None:
    heartbeats = ports.new_heartbeats()
    await heartbeats.beat(LARGE, None)

    async def older_than(seconds: float) -> Sequence[WorkerSign]:
        return [sign for sign in await ports.worker_signs.signs() if sign.seconds_ago > seconds]

    (old,) = await eventually(lambda: older_than(0.1))
    await heartbeats.beat(LARGE, None)
    (new,) = await ports.worker_signs.signs()
    assert 0 <= new.seconds_ago < old.seconds_ago


async def test_processes_that_tell_the_same_are_one_sign_as_old_as_the_latest(ports: Ports) -> None:
    await ports.new_heartbeats().beat(LARGE, None)

    async def aged() -> bool:
        (sign,) = await ports.worker_signs.signs()
        return sign.seconds_ago > 0.1

    await eventually(aged)
    await ports.new_heartbeats().beat(LARGE, None)
    (sign,) = await ports.worker_signs.signs()
    assert sign.seconds_ago < 0.1
