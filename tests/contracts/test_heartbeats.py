"""The suite of `Heartbeats` and `HeartbeatLookup`."""

from collections.abc import Sequence

from gridhaul import __version__
from gridhaul.transfer.errors import ChunkServiceUnavailable
from gridhaul.transfer.model import Queue
from gridhaul.transfer.worker_health import HeartbeatGroup, passed_over_messages
from tests.contracts.ports import Ports, eventually

SMALL = frozenset({Queue.SMALL, Queue.MAINTENANCE})
LARGE = frozenset({Queue.LARGE})
UNREACHABLE = ChunkServiceUnavailable.code


async def reported(ports: Ports) -> set[tuple[frozenset[Queue], str | None]]:
    return {(group.queues, group.storing_error) for group in await ports.heartbeat_lookup.groups()}


async def aged_group(ports: Ports) -> HeartbeatGroup:
    """Wait until the only group is older than 0.1 s, and return it."""

    async def older() -> Sequence[HeartbeatGroup]:
        return [group for group in await ports.heartbeat_lookup.groups() if group.seconds_ago > 0.1]

    (group,) = await eventually(older)
    return group


async def test_without_a_worker_there_is_no_heartbeat(ports: Ports) -> None:
    assert not await ports.heartbeat_lookup.groups()


async def test_heartbeats_report_queues_and_storing_errors(ports: Ports) -> None:
    await ports.new_heartbeats().beat(SMALL, None, passed_over=0)
    await ports.new_heartbeats().beat(LARGE, UNREACHABLE, passed_over=0)
    assert await reported(ports) == {(SMALL, None), (LARGE, UNREACHABLE)}


async def test_heartbeats_tell_host_version_and_time(ports: Ports) -> None:
    before = (await ports.account_counting.of_account("operator")).counted_at
    await ports.new_heartbeats().beat(SMALL, None, passed_over=0)
    (group,) = await ports.heartbeat_lookup.groups()
    after = (await ports.account_counting.of_account("operator")).counted_at
    assert (group.host, group.version) == ("host", __version__)
    assert before <= group.seen_at <= after


async def test_processes_that_live_are_counted(ports: Ports) -> None:
    for _ in range(3):
        await ports.new_heartbeats().beat(SMALL, None, passed_over=0)
    (group,) = await ports.heartbeat_lookup.groups()
    assert group.living == 3


async def test_worker_that_passed_over_messages_is_counted_once_whatever_its_processes_report(ports: Ports) -> None:
    for worker, count in (("one", 2), ("one", 3), ("two", 4)):
        await ports.new_heartbeats(worker).beat(SMALL, None, passed_over=count)
    await ports.new_heartbeats("one").beat(SMALL, UNREACHABLE, passed_over=1)
    groups = await ports.heartbeat_lookup.groups()
    assert sorted((group.worker, group.passed_over) for group in groups) == [("one", 1), ("one", 3), ("two", 4)]
    assert passed_over_messages(groups) == 3 + 4


async def test_later_heartbeat_of_a_process_replaces_the_earlier(ports: Ports) -> None:
    heartbeats = ports.new_heartbeats()
    await heartbeats.beat(LARGE, UNREACHABLE, passed_over=0)
    await heartbeats.beat(LARGE, None, passed_over=0)
    assert await reported(ports) == {(LARGE, None)}


async def test_age_of_a_heartbeat_grows_until_the_next_one(ports: Ports) -> None:
    heartbeats = ports.new_heartbeats()
    await heartbeats.beat(LARGE, None, passed_over=0)
    old = await aged_group(ports)
    await heartbeats.beat(LARGE, None, passed_over=0)
    (new,) = await ports.heartbeat_lookup.groups()
    assert 0 <= new.seconds_ago < old.seconds_ago


async def test_processes_that_report_the_same_are_one_group_as_old_as_the_latest(ports: Ports) -> None:
    await ports.new_heartbeats().beat(LARGE, None, passed_over=0)
    old = await aged_group(ports)
    await ports.new_heartbeats().beat(LARGE, None, passed_over=0)
    (both,) = await ports.heartbeat_lookup.groups()
    assert 0 <= both.seconds_ago < old.seconds_ago
