"""Uploads in several requests: the N-th call of the ports fails, for N = 1, 2, 3 …; each time the invariants hold.

A client sends its bytes through two api processes. It never loses a byte that was acknowledged, the file is delivered
or gone in the end, and the quota is right.
"""

import asyncio
import hashlib
from dataclasses import replace

import pytest

from api.named_digest import NamedDigests
from api.uploads.parts import upload_of
from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.origins import Door, Upload
from gridhaul.transfer.states import BYTES_GONE, UPLOAD_MOVES, Action, ContentState, FileState
from tasks import join_parts
from tests.contracts.bytes_to_store import some_bytes
from tests.faults.every_call import AT_ONCE, CALLS_AT_MOST, Story, every_call, run_twins
from tests.faults.failing import Faults, Way
from tests.faults.twin_invariants import assert_deleted, assert_delivered
from tests.faults.twin_system import LEASE_SECONDS, UPLOAD_LIFETIME_SECONDS, Case, TwinSystem
from tests.faults.uploading import Client, ends, stalls

AWAY_SECONDS = LEASE_SECONDS + 10
FEWEST_CALLS = 12
DATA = some_bytes(2 * CHUNK_BYTES + 5)
MD5 = hashlib.md5(DATA).hexdigest()  # noqa: S324
FIRST, SECOND = 7, CHUNK_BYTES + 3  # bytes of the first two requests: both end with an open tail
TAKEN_OVER_WITHIN_SECONDS = 120.0
CASE = Case(data=DATA)


async def _until_received(client: Client, file_id: RecordId) -> None:
    """Send what is missing by the second process until the upload has all its bytes."""
    while await _is_receiving(client, file_id):
        offset = await client.offset(1, file_id)
        await client.send(1, file_id, offset=offset, body=ends(client.data[offset:], at=len(client.data)))


async def _is_receiving(client: Client, file_id: RecordId) -> bool:
    return (await client.system.file(file_id)).state is FileState.RECEIVING


async def _begun(client: Client, file_id: RecordId) -> "asyncio.Task[None]":
    """Send a request that breaks off, and another one that hangs. Return the second one."""
    offset = await client.offset(0, file_id)
    await client.send(0, file_id, offset=offset, body=ends(client.data[offset:], at=FIRST))
    offset, stalled = await client.offset(0, file_id), asyncio.Event()

    async def has_stalled() -> None:
        stalled.set()

    body = stalls(client.data[offset:], at=SECOND, has_stalled=has_stalled)
    hanging = asyncio.create_task(client.send(0, file_id, offset=offset, body=body))
    waiting = asyncio.create_task(stalled.wait())
    await asyncio.wait([hanging, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return hanging


async def _ended(hanging: "asyncio.Task[None]") -> None:
    """Require that the request, whose upload is in other hands, ends by itself."""
    await asyncio.wait([hanging], timeout=TAKEN_OVER_WITHIN_SECONDS)
    assert hanging.done(), "the request still hangs"
    hanging.result()


def _in_pieces(*, known_length: bool) -> Story:
    async def story(system: TwinSystem) -> None:
        client = await Client.begin(system, DATA, known_length=known_length)
        file_id = await client.create(deliver=True)
        hanging = await _begun(client, file_id)
        await _until_received(client, file_id)
        await _ended(hanging)
        await client.leave()
        await _at_rest(system)
        await assert_delivered(system, file_id)

    return story


async def _at_once(system: TwinSystem) -> None:
    client = await Client.begin(system, DATA, known_length=True)
    file_id = await client.create(deliver=True)
    await _until_received(client, file_id)
    await client.leave()
    await _at_rest(system)
    await assert_delivered(system, file_id)


async def _length_last(system: TwinSystem) -> None:
    """Name the length only when all bytes are stored, the last of them in the open tail."""
    client = await Client.begin(system, DATA, known_length=False)
    file_id = await client.create(deliver=True)
    while (offset := await client.offset(0, file_id)) < len(DATA):
        await client.send(0, file_id, offset=offset, body=ends(DATA[offset:], at=len(DATA)), names_length=False)
    while await _is_receiving(client, file_id):
        offset = await client.offset(1, file_id)
        await client.send(1, file_id, offset=offset, body=ends(b"", at=0))
    await client.leave()
    await _at_rest(system)
    await assert_delivered(system, file_id)


async def _gone_after_the_last_byte(system: TwinSystem) -> None:
    """Send all bytes, and ask nothing afterwards. `curl` does so: it takes the whole file for sent."""
    client = await Client.begin(system, DATA, known_length=True)
    file_id = await client.create(deliver=True)
    await client.send(0, file_id, offset=0, body=ends(DATA, at=FIRST))
    while (offset := (await system.file(file_id)).stored_bytes) < len(DATA):
        await client.send(0, file_id, offset=offset, body=ends(DATA[offset:], at=len(DATA)))
    await client.leave()
    await _at_rest(system)
    await assert_delivered(system, file_id)


def _completed(*, by_process: int) -> Story:
    """Return a story of a client of Content-Range. Only the first process knows the digest of the bytes."""

    async def story(system: TwinSystem) -> None:
        client = await Client.begin(system, DATA, known_length=False)
        upload = Upload(door=Door.RANGES, length_deferred=True, began_without_length=True)
        file_id = await client.register(upload, 0, key="k", deliver=True)
        await client.send(0, file_id, offset=0, body=ends(DATA, at=SECOND), names_length=False)
        while (offset := await client.offset(0, file_id)) < len(DATA):
            await client.send(0, file_id, offset=offset, body=ends(DATA[offset:], at=len(DATA)), names_length=False)
        while await _is_receiving(client, file_id):
            await client.complete(by_process, file_id, NamedDigests(md5=MD5))
        await client.leave()
        await _at_rest(system)
        await assert_delivered(system, file_id)
        assert upload_of(await system.file(file_id)).md5 == MD5

    return story


async def _joined(system: TwinSystem) -> None:
    """Send two parts, name the length of the second one last, and join them. The parts expire once they were used."""
    client = await Client.begin(system, DATA, known_length=True)
    ids = [await _part(client, DATA[:SECOND], "first"), await _part(client, DATA[SECOND:], "second", length_last=True)]
    file_id = await client.register(Upload(door=Door.TUS, parts=tuple(ids)), len(DATA), key="whole", deliver=True)
    await client.leave()
    await _at_rest(system)
    await assert_delivered(system, file_id)
    assert {(await system.file(part_id)).state for part_id in ids} == {FileState.EXPIRED}


async def _part(client: Client, data: bytes, key: str, *, length_last: bool = False) -> RecordId:
    upload = Upload(door=Door.TUS_PART, length_deferred=length_last, began_without_length=length_last)
    part_id = await client.register(upload, 0 if length_last else len(data), key=key, deliver=False)
    client = replace(client, data=data, acknowledged=0)
    while (offset := await client.offset(0, part_id)) < len(data):
        body = ends(data[offset:], at=len(data) - offset)
        await client.send(0, part_id, offset=offset, body=body, names_length=not length_last)
    while (found := (await client.system.file(part_id)).upload) is not None and found.length_deferred:
        await client.send(1, part_id, offset=len(data), body=ends(b"", at=0))
    return part_id


async def _abandoned(system: TwinSystem) -> None:
    client = await Client.begin(system, DATA, known_length=False)
    file_id = await client.create(deliver=True)
    offset = await client.offset(0, file_id)
    await client.send(0, file_id, offset=offset, body=ends(client.data[offset:], at=SECOND))
    await client.leave()
    await _at_rest(system)
    assert (await system.file(file_id)).state is FileState.EXPIRED
    _assert_nothing_left(system)


async def _cancelled(system: TwinSystem) -> None:
    client = await Client.begin(system, DATA, known_length=True)
    file_id = await client.create(deliver=True)
    hanging = await _begun(client, file_id)
    assert await system.files.move(file_id, UPLOAD_MOVES[Action.CANCEL])
    await system.files.request_delete(file_id, deliveries_asked=0)
    await _ended(hanging)
    await client.leave()
    await _at_rest(system)
    await assert_deleted(system, file_id)
    _assert_nothing_left(system)


async def _at_rest(system: TwinSystem) -> None:
    """Let the system come to rest. Then do what gc does: only after a failure it has something to do."""
    await system.rest()
    named = {row.record.content_id for row in system.files.rows.values() if row.record.state not in BYTES_GONE}
    orphans = [row.record for row in system.contents.rows.values() if row.record.id not in named]
    assert not orphans or system.faults.any_met, "contents were left behind, although no call failed"
    for content in orphans:
        assert content.state is not ContentState.DELETING
        assert await system.contents.abandon(content)
    await system.rest()


def _assert_nothing_left(system: TwinSystem) -> None:
    contents = system.contents
    left = (contents.rows, contents.chunks, contents.tails, contents.manifests)
    assert not any(left)
    assert not system.undercounted
    assert system.account.used_bytes == 0 or system.faults.any_met


STORIES: dict[str, Story] = {
    "in-pieces": _in_pieces(known_length=True),
    "of-unknown-length": _in_pieces(known_length=False),
    "at-once": _at_once,
    "length-last": _length_last,
    "gone-after-the-last-byte": _gone_after_the_last_byte,
    "joined": _joined,
    "completed": _completed(by_process=0),
    "completed-elsewhere": _completed(by_process=1),
    "abandoned": _abandoned,
    "cancelled": _cancelled,
}


@pytest.fixture(autouse=True)
def parts_expire_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let parts expire within the time in which a system comes to rest. Joining takes far less."""
    for name in ("NEEDED_SECONDS", "USED_SECONDS"):
        monkeypatch.setattr(join_parts, name, UPLOAD_LIFETIME_SECONDS)


@pytest.fixture(params=sorted(STORIES))
def story(request: pytest.FixtureRequest) -> Story:
    return STORIES[request.param]


@pytest.mark.parametrize("way", AT_ONCE)
def test_any_call_may_fail(story: Story, way: Way) -> None:
    assert every_call(CASE, lambda number: Faults({number: way}), story) > FEWEST_CALLS


@pytest.mark.parametrize("name", ["in-pieces", "abandoned", "cancelled"])
def test_any_request_of_a_process_that_died_may_arrive_at_any_later_call(name: str) -> None:
    for number in range(1, CALLS_AT_MOST):
        for later in range(1, CALLS_AT_MOST, 23):
            faults = Faults({number: Way.ARRIVES_LATE}, late_calls=later)
            run_twins(CASE, faults, STORIES[name])
            if not faults.arrived:
                break
        if not faults.all_met:
            assert number > FEWEST_CALLS
            return
    raise AssertionError("the story has too many calls")


@pytest.mark.parametrize("port", ["uploads", "files", "contents", "usage", "chunks"])
def test_any_port_may_be_away_for_longer_than_a_lease(story: Story, port: str) -> None:
    def away(number: int) -> Faults:
        return Faults({number: Way.AWAY}, port=port, away_seconds=AWAY_SECONDS)

    assert every_call(CASE, away, story) >= 0
