"""`/events` and `/files/{id}/events`: who is told of what, from when on, and how a stream ends."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from api.events.stream import RETRY_MS, Events, EventStream
from api.events.stream_limit import StreamSlots
from gridhaul.asgi.http_protocol import BoundedHttp
from gridhaul.storage.checking.objects import MongoObjects
from gridhaul.storage.connect import Database
from gridhaul.transfer.changes import Change, Position
from gridhaul.transfer.errors import DatabaseUnavailable
from gridhaul.transfer.model import Failure, File
from gridhaul.transfer.states import DELIVERABLE, FILE_MOVES, Action, DeliveryState
from tests.api.event_client import Stream, Streams, streaming
from tests.api.service import TOKEN, Api, serving
from tests.asgi.connections import served
from tests.contracts.ports import (
    Ports,
    claimed,
    destination,
    eventually,
    new_batch,
    new_delivery,
    new_file,
    new_member,
    registered,
    stored,
)

AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def streams(api: Api) -> AsyncIterator[Streams]:
    async with streaming(api) as found:
        yield found


async def test_stream_tells_of_a_change_as_the_list_shows_the_record(streams: Streams, ports: Ports) -> None:
    async with streams.opened() as stream:
        file = await stored(ports)
        # An event that was read earlier may come after the stream's beginning, so the test looks at the last one.
        await stream.until(lambda one: (told := one.told("file")) and told[-1]["state"] == "STORED")
        listed = (await streams.http.get("/files", headers=stream.response.request.headers)).json()["files"]
        assert stream.told("file")[-1] == listed[0]
        assert Position.parse(stream.events[-1].id).record_id == file.id


async def test_stream_says_that_no_proxy_may_keep_it(streams: Streams) -> None:
    async with streams.opened() as stream:
        headers = stream.response.headers
        assert headers["Content-Type"].startswith("text/event-stream")
        assert (headers["Cache-Control"], headers["X-Accel-Buffering"]) == ("no-store", "no")
        assert "Content-Length" not in headers
        assert RETRY_MS[0] <= (stream.retry or 0) <= RETRY_MS[1]


async def test_stream_tells_of_deliveries_and_batches(streams: Streams, ports: Ports) -> None:
    async with streams.opened() as stream:
        delivery, _ = await ports.deliveries.open(new_delivery(destination()))
        batch, _ = await ports.batches.register(new_batch())
        await stream.states(delivery.id, "QUEUED")
        await stream.states(batch.id, "REGISTERING")
        (told,) = stream.told("batch")
        listed = (await streams.http.get("/batches", headers=stream.response.request.headers)).json()["batches"]
        assert told == listed[0]


async def test_stream_begins_with_the_changes_of_the_last_seconds(streams: Streams, ports: Ports) -> None:
    file = await registered(ports)
    async with streams.opened() as stream:
        await stream.states(file.id, "REGISTERED")


async def _long_ago(database: Database, file: File, *, seconds: float) -> Position:
    """Move the last change of the file into the past, and return its position there."""
    assert file.changed_at is not None
    then = file.changed_at - timedelta(seconds=seconds)
    await database["files"].update_one({"revision": file.revision, "name": file.name}, {"$set": {"changed_at": then}})
    return Position.of(then, file.id)


async def test_client_that_comes_back_is_told_of_what_it_missed_and_of_a_little_more(
    streams: Streams, ports: Ports, database: Database
) -> None:
    files = [await registered(ports, new_file(name=f"{n}")) for n in range(4)]
    ago = (300, 104, 96, 50)
    positions = [await _long_ago(database, file, seconds=seconds) for file, seconds in zip(files, ago, strict=True)]
    last = str(replace(positions[2], time_ms=positions[2].time_ms))
    async with streams.opened(Last_Event_ID=last) as stream:
        await stream.states(files[3].id, "REGISTERED")
        assert [one["name"] for one in stream.told("file")] == ["1", "2", "3"]
        assert [one.id for one in stream.events] == [str(position) for position in positions[1:]]
    async with streams.opened(f"/events?last_event_id={positions[3]}") as stream:
        await stream.states(files[3].id, "REGISTERED")
        assert [one["name"] for one in stream.told("file")] == ["3"]
    async with streams.opened(f"/events?last_event_id={positions[0]}", Last_Event_ID=str(positions[3])) as stream:
        await stream.states(files[3].id, "REGISTERED")
        assert [one["name"] for one in stream.told("file")] == ["3"], "the header goes before the query"


async def test_long_replay_is_whole_and_in_order(streams: Streams, ports: Ports) -> None:
    files = [await registered(ports, new_file(name=f"{n}")) for n in range(250)]
    first = Change.of(files[0])
    assert first is not None
    async with streams.opened(Last_Event_ID=str(first.position)) as stream:
        await stream.until(lambda one: {told["file_id"] for told in one.told("file")} == {file.id for file in files})
        replayed = [Position.parse(one.id) for one in stream.events[: len(files)]]
        assert replayed == sorted(replayed)


@pytest.mark.parametrize("last", [f"0-{'0' * 24}", f"9999999999999-{'f' * 24}", ""])
async def test_oldest_newest_and_empty_id_are_allowed(streams: Streams, ports: Ports, last: str) -> None:
    async with streams.opened(Last_Event_ID=last) as stream:
        file = await registered(ports)
        await stream.states(file.id, "REGISTERED")


@pytest.mark.parametrize("last", ["garbage", f"1-{'0' * 23}", f"-1-{'0' * 24}", f"99999999999999-{'0' * 24}", "0"])
async def test_garbage_as_the_last_id_is_refused(api: Api, last: str) -> None:
    answers = [
        await api.http.get("/events", headers={"Last-Event-ID": last}),
        await api.http.get("/events", params={"last_event_id": last}),
    ]
    for answer, place in zip(answers, ("header.Last-Event-ID", "query.last_event_id"), strict=True):
        assert answer.status_code == 422
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["invalid"] == [place]


async def test_stream_of_a_file_begins_with_it_and_its_deliveries(streams: Streams, ports: Ports) -> None:
    file, other = await stored(ports), await registered(ports)
    for target in ("archive", "mirror"):
        await ports.deliveries.open(new_delivery(destination(target), file_id=file.id))
    async with streams.opened(f"/files/{file.id}/events", Last_Event_ID="of another server") as stream:
        await stream.until(lambda one: len(one.events) >= 3)
        assert [one.event for one in stream.events[:3]] == ["file", "delivery", "delivery"]
        assert stream.told()[0]["state"] == "STORED"
        delivery = new_delivery(destination("mirror"), file_id=file.id)
        await claimed(ports, other)
        taken = await ports.deliveries.claim(
            delivery.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
        )
        assert taken is not None
        await stream.states(delivery.id, "STREAMING")
        assert {one["file_id"] for one in stream.told()} == {file.id}


async def test_file_that_is_older_than_the_time_of_its_change_is_told_without_an_id(
    streams: Streams, ports: Ports, database: Database
) -> None:
    file = await registered(ports)
    await database["files"].update_many({}, {"$unset": {"changed_at": ""}})
    async with streams.opened(f"/files/{file.id}/events") as stream:
        await stream.until(lambda one: one.events)
        assert (stream.events[0].event, stream.events[0].id) == ("file", "")


async def test_lost_object_of_a_delivery_is_told(streams: Streams, ports: Ports, database: Database) -> None:
    objects = MongoObjects(database, sweep_seconds=60)
    delivery, _ = await ports.deliveries.open(new_delivery(destination()))
    taken = await ports.deliveries.claim(
        delivery.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    await ports.deliveries.finish(taken.lease, DeliveryState.DELIVERED)
    gone = Failure(code="object_missing", detail="No object is under the name.")
    async with streams.opened() as stream:
        await stream.states(delivery.id, "DELIVERED")
        for error in (gone, gone, None):
            found = await ports.deliveries.get(delivery.id)
            assert found is not None
            assert await objects.note_object(found, error)
            code = error and error.code
            await stream.until(lambda one, code=code: _object_error(one) == code)
    found = await ports.deliveries.get(delivery.id)
    assert found is not None
    assert [(event.state, event.code) for event in found.history[3:]] == [("DELIVERED", gone.code), ("DELIVERED", None)]


def _object_error(stream: Stream) -> Any:
    error = stream.told("delivery")[-1]["object_error"]
    return error and error["code"]


async def test_progress_is_told_without_an_id_about_once_a_second(streams: Streams, ports: Ports) -> None:
    file = await claimed(ports, await registered(ports, new_file(length=1000)))
    loop = asyncio.get_running_loop()
    async with streams.opened() as stream:
        await stream.states(file.id, "STORING")
        began, moved = loop.time(), 0
        while len(stream.told("progress")) < 3:
            moved += 1
            await ports.files.renew(file.lease, stored_bytes=moved)
            await asyncio.sleep(0.02)
        seconds = loop.time() - began
        told = [one for one in stream.events if one.event == "progress"]
        assert len(told) <= seconds + 1.5
        assert all(one.id == stream.events[0].id for one in told), "the last id stays"
        shown = [json.loads(one.data) for one in told]
        assert [one["kind"] for one in shown] == ["file"] * len(shown)
        assert [one["stored_bytes"] for one in shown] == sorted({one["stored_bytes"] for one in shown})
        assert {one["file_id"] for one in shown} == {file.id}


async def test_change_during_an_outage_is_told_after_it(ports: Ports) -> None:
    outage = Outage(ports.changes, of="read")
    async with serving(replace(ports, changes=outage)) as api, streaming(api) as streams, streams.opened() as stream:
        outage.lasts = True
        file = await registered(ports)
        await asyncio.wait_for(outage.met.wait(), 10)
        await ports.files.move(file.id, FILE_MOVES[Action.PAUSE])
        outage.lasts = False
        await stream.states(file.id, "PAUSED")


async def test_stream_ends_if_what_the_client_missed_cannot_be_read(ports: Ports) -> None:
    outage = Outage(ports.changes, of="page")
    outage.lasts = True
    async with serving(replace(ports, changes=outage)) as api, streaming(api) as streams, streams.opened() as stream:
        await stream.until(lambda one: one.over)


class Outage:
    """Changes of which one method raises while the outage lasts."""

    def __init__(self, changes: Any, *, of: str) -> None:
        self._changes = changes
        self._of = of
        self.met = asyncio.Event()
        self.lasts = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._changes, name)

        async def reads(*arguments: Any, **named: Any) -> Any:
            if self.lasts and name == self._of:
                self.met.set()
                raise DatabaseUnavailable("The database does not answer.")
            return await method(*arguments, **named)

        return reads


async def test_stream_ends_at_once_when_the_server_stops(api: Api) -> None:
    kind, connections = _collected()
    async with served(api.app, kind) as connect:
        for path in ("/events", "/files"):
            reader, writer = await connect()
            writer.write(f"GET {path} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            begun = await reader.readuntil(b"retry: " if path == "/events" else b"\r\n\r\n")
            assert begun.startswith(b"HTTP/1.1 200")
            for connection in connections:  # as uvicorn does at SIGTERM
                connection.shutdown()
            rest = await asyncio.wait_for(reader.read(), 1)
            assert path != "/events" or rest.endswith(b"0\r\n\r\n")


async def test_stream_that_begins_while_the_server_stops_ends(api: Api) -> None:
    kind, connections = _collected()
    async with served(api.app, kind) as connect:
        reader, writer = await connect()
        writer.write(f"GET /events HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        while not any(connection.cycle for connection in connections):  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0)
        connections[-1].shutdown()
        assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"0\r\n\r\n")


def _collected() -> tuple[type[BoundedHttp], list[BoundedHttp]]:
    """Return a kind of connections, and the list to which each of them adds itself."""
    connections: list[BoundedHttp] = []

    class Collected(BoundedHttp):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            connections.append(self)
            super().connection_made(transport)

    return Collected, connections


async def test_stream_beyond_the_limit_of_an_account_is_refused_and_leaves_room_for_others(ports: Ports) -> None:
    async with serving(ports) as api, streaming(api) as streams, AsyncExitStack() as open_streams:
        slots = StreamSlots(slots=4, turn_seconds=0.05)
        api.app.state.service = replace(api.app.state.service, events=replace(_events(api), slots=slots))
        for _ in range(3):
            await open_streams.enter_async_context(streams.opened())
        refused = await streams.http.get("/events", headers=AUTHORIZED)
        assert (refused.status_code, refused.json()["code"]) == (503, "streams_busy")
        assert int(refused.headers["Retry-After"]) > 0
        async with slots.hold("somebody else"):
            pass
        await open_streams.aclose()
        await eventually(lambda: _opens(streams))


async def _opens(streams: Streams) -> bool:
    async with streams.http.stream("GET", "/events", headers=AUTHORIZED) as response:
        return response.status_code == 200


def _events(api: Api) -> Events:
    events: Events = api.app.state.service.events
    return events


async def test_client_that_reads_nothing_is_disconnected_and_costs_little(
    api: Api, ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EventStream, "send_seconds", 0.5)
    async with served(api.app) as connect:
        reader, writer = await connect()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(f"GET /events HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        await reader.readuntil(b"retry: ")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        feed = _events(api).feed
        assert len(feed) == 1
        big = "x" * 200
        for n in range(40):
            await ports.members.insert([new_member(f"{big}/{n}/{k}") for k in range(500)])
            if not len(feed):
                break
        await eventually(lambda: _is(len(feed) == 0))


async def _is(answer: bool) -> bool:
    return answer
