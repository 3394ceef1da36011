"""The one reader of a process: what it reads late, reads again, or cannot read at all is still told, and in order."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from api.events import feed
from api.events.feed import EventFeed, Looks
from api.events.log import EventLog, Listener, Sight
from api.obstacles import Obstacles
from gridhaul.storage.connect import Database
from gridhaul.transfer.broker_health import BrokerContents
from gridhaul.transfer.changes import OVERLAP, Position
from gridhaul.transfer.errors import DatabaseUnavailable
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.ports.events import RecentChanges
from gridhaul.transfer.states import DELIVERABLE, FILE_MOVES, Action, DeliveryState
from tests.contracts.ports import Ports, claimed, destination, eventually, new_delivery, new_member, registered

EVERYBODY = Sight(owner=None)


class Meddled:
    """Changes, of which some methods are replaced by the test; a replacement is given the real method."""

    def __init__(self, changes: RecentChanges, **replaced: Callable[..., Awaitable[Any]]) -> None:
        self._changes = changes
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._changes, name)
        if name not in self._replaced:
            return method

        async def replacement(*arguments: Any, **named: Any) -> Any:
            return await self._replaced[name](method, *arguments, **named)

        return replacement


@pytest.fixture
def obstacles(ports: Ports) -> Obstacles:
    async def no_broker() -> BrokerContents:
        return BrokerContents(taken=frozenset(), foreign_messages=0)

    return Obstacles(ports.heartbeat_lookup, no_broker)


def _told(listener: Listener) -> Iterator[tuple[str, Position | None, dict[str, Any]]]:
    """Yield kind, position and record of each event that the listener has not taken yet."""
    text = b""
    while block := listener.take():
        text += block
    for kind, position, data in re.findall(r"event: (\w+)\n(?:id: (\S+)\n)?data: (.*)\n\n", text.decode()):
        yield kind, Position.parse(position) if position else None, json.loads(data)


async def _until_told(listener: Listener, name: str, value: object) -> list[tuple[str, dict[str, Any]]]:
    """Wait until the listener was told of a record with this value of a member, and return all that it was told."""
    told = list[tuple[str, dict[str, Any]]]()
    async with asyncio.timeout(20):
        while not any(record.get(name) == value for _, record in told):
            await listener.wait(1)
            told += [(kind, record) for kind, _, record in _told(listener)]
    return told


async def test_event_of_a_late_look_has_no_id_that_would_skip_what_is_told_after_it(
    ports: Ports, obstacles: Obstacles, database: Database
) -> None:
    """A reader that was kept from reading for a minute tells of many changes, and a client may leave amid them."""
    now = await ports.changes.horizon()
    horizons = iter([now - timedelta(seconds=61)])

    async def horizon(really: Callable[[], Awaitable[datetime]]) -> datetime:
        return next(horizons, None) or await really()

    async def read(really: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        first = await database["files"].find_one({"name": "000"})
        assert first is not None
        await ports.files.move(RecordId(str(first["_id"])), FILE_MOVES[Action.PAUSE])  # it changes once more
        return await really(*arguments)

    log = EventLog()
    looks = Looks(Meddled(ports.changes, horizon=horizon, read=read), obstacles, log)
    with log.listening(EVERYBODY) as listener:
        await looks.look()  # the last one for a minute
        await ports.members.insert([new_member(f"{n:03}") for n in range(250)])
        await _spread(database, now - timedelta(seconds=60))
        await looks.look()
        told = [(position.time, record) for _, position, record in _told(listener) if position]
    assert {record["name"] for _, record in told} == {f"{n:03}" for n in range(250)}
    changed_at = {record["name"]: now - timedelta(seconds=60, milliseconds=-int(record["name"])) for _, record in told}
    changed_at["000"] = now
    for at, (position, _) in enumerate(told):
        later = min((changed_at[record["name"]] for _, record in told[at + 1 :]), default=now)
        assert later > position - OVERLAP, "a client that leaves here and comes back is told of the later ones"


async def _spread(database: Database, begin: datetime) -> None:
    """Let the files have changed one after the other, by their names, from `begin` on."""
    async for one in database["files"].find({}, {"name": 1}):
        then = begin + timedelta(milliseconds=int(one["name"]))
        await database["files"].update_one({"_id": one["_id"]}, {"$set": {"changed_at": then}})


async def test_change_is_told_although_the_first_looks_fail_for_long(
    ports: Ports, obstacles: Obstacles, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter(range(3))

    async def horizon(really: Callable[[], Awaitable[datetime]]) -> datetime:
        if next(failures, None) is not None:
            raise DatabaseUnavailable("No server answers.")
        return await really()

    now = time.monotonic()
    monkeypatch.setattr(feed, "time", SimpleNamespace(monotonic=lambda: now))
    log = EventLog()
    looks = Looks(Meddled(ports.changes, horizon=horizon), obstacles, log)
    with log.listening(EVERYBODY) as listener:
        file = await registered(ports)
        assert file.changed_at is not None
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                await looks.look()
        now += 60
        a_minute_ago = file.changed_at - timedelta(minutes=1)
        await database["files"].update_many({}, {"$set": {"changed_at": a_minute_ago}})
        await looks.look()
        assert [record["file_id"] for _, _, record in _told(listener)] == [file.id]


async def test_progress_that_was_read_before_the_end_is_not_told_after_it(ports: Ports, obstacles: Obstacles) -> None:
    delivery, _ = await ports.deliveries.open(new_delivery(destination()))
    taken = await ports.deliveries.claim(
        delivery.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    finished = asyncio.Event()
    log = EventLog()

    async def read(really: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        records = await really(*arguments)
        if any(one.state == DeliveryState.STREAMING and one.sent_bytes for one in records) and not finished.is_set():
            await ports.deliveries.finish(taken.lease, DeliveryState.DELIVERED)
            finished.set()
            await asyncio.sleep(1.5)  # this read is slow: another look tells of the end meanwhile, unless it waits
        return records

    events = EventFeed(Meddled(ports.changes, read=read), obstacles, log=log)
    with events.listening(EVERYBODY) as listener:
        await _until_told(listener, "state", "STREAMING")
        await asyncio.sleep(1.1)  # a look at the progress has seen that nothing moves
        await ports.deliveries.renew(taken.lease, sent_bytes=1)
        told = await _until_told(listener, "state", "DELIVERED")
        await asyncio.wait_for(finished.wait(), 10)
        await asyncio.sleep(2.5)
        told += [(kind, record) for kind, _, record in _told(listener)]
    assert (told[-1][0], told[-1][1]["state"]) == ("delivery", "DELIVERED")


async def test_record_that_cannot_be_read_does_not_keep_the_others_from_being_told(
    ports: Ports, obstacles: Obstacles, database: Database
) -> None:
    log = EventLog()
    looks = Looks(ports.changes, obstacles, log)
    with log.listening(EVERYBODY) as listener:
        strange = await registered(ports)
        await database["files"].update_one({}, {"$set": {"state": "OF_A_LATER_VERSION"}})
        file = await registered(ports)
        with capture_logs() as logged:
            await looks.look()
            await looks.look()
        assert [record["file_id"] for _, _, record in _told(listener)] == [file.id]
        assert [(line["event"], line["record_id"]) for line in logged] == [("record_unreadable", strange.id)]


async def test_replay_goes_on_after_records_that_cannot_be_read(ports: Ports, database: Database) -> None:
    start = Position.of(await ports.changes.horizon() - OVERLAP)
    for _ in range(2):
        await registered(ports)
    await database["files"].update_many({}, {"$set": {"state": "OF_A_LATER_VERSION"}})
    file = await registered(ports)
    with capture_logs():
        first = await ports.changes.page(start, owner=None, limit=2)
        assert (first.records, first.next_after is None) == ([], False)
        assert first.next_after is not None
        last = await ports.changes.page(first.next_after, owner=None, limit=2)
    assert ([one.id for one in last.records], last.next_after) == ([file.id], None)


async def test_lines_of_the_reader_do_not_have_the_request_of_its_first_listener(
    ports: Ports, obstacles: Obstacles
) -> None:
    async def horizon(_: Callable[[], Awaitable[datetime]]) -> datetime:
        raise DatabaseUnavailable("No server answers.")

    events = EventFeed(Meddled(ports.changes, horizon=horizon), obstacles)
    processors = structlog.get_config()["processors"]
    try:
        with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logged:
            structlog.contextvars.bind_contextvars(request_id="of the listener")
            with events.listening(EVERYBODY):
                await eventually(lambda: _any(logged))
    finally:
        structlog.contextvars.clear_contextvars()
        structlog.configure(processors=processors)
    assert {line["event"] for line in logged} == {"events_failed"}
    assert not any("request_id" in line for line in logged)


async def _any(lines: list[Any]) -> bool:
    return bool(lines)


async def test_file_that_is_claimed_meanwhile_is_told_once(ports: Ports, obstacles: Obstacles) -> None:
    log = EventLog()
    looks = Looks(ports.changes, obstacles, log)
    with log.listening(EVERYBODY) as listener:
        await claimed(ports, await registered(ports))
        for _ in range(3):
            await looks.look()
        assert [record["state"] for _, _, record in _told(listener)] == ["STORING"]
