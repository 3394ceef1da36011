"""A request takes an upload over from another one, in the same process or another: soon, and no byte is lost."""

import asyncio
import base64
import random
import time
from collections.abc import AsyncIterator

import pytest

from api.uploads import holding, receiving
from api.uploads.checksum import Checksum
from gridhaul.storage.connect import Database
from gridhaul.transfer.errors import LeaseLost, OffsetMismatch, UploadTakenOver
from gridhaul.transfer.grants import ContentGrant
from gridhaul.transfer.model import File, Segment
from gridhaul.transfer.states import UPLOAD_MOVES, Action, FileState
from tests.api.uploads.bodies import body_of, cut, hanging
from tests.api.uploads.conftest import NewProcess
from tests.api.uploads.process import Process
from tests.contracts.bytes_to_store import MIB, read_all, some_bytes
from tests.contracts.ports import Ports, eventually
from tests.faults.failing_ports import MemoryChunks

DATA = some_bytes(40 * MIB + 5)
ANSWERED_SECONDS = 2.5  # the time that a holder has, and some for a busy machine


@pytest.fixture(params=["same process", "another process"])
async def pair(request: pytest.FixtureRequest, starting: NewProcess) -> tuple[Process, Process]:
    """Return the process of the old request and that of the new one."""
    one = starting()
    return one, one if request.param == "same process" else starting()


async def hung(process: Process, file: File, data: bytes, *, offset: int = 0) -> asyncio.Task[int]:
    """Return a request whose body has arrived up to the end of `data`, and does not go on."""
    taken = asyncio.Event()
    request = asyncio.create_task(
        process.append(file, hanging(cut(data, MIB // 2 + 1), all_taken=taken), offset=offset)
    )
    await taken.wait()
    return request


@pytest.mark.parametrize("arrived", [1, 5 * MIB + 7, 20 * MIB])
async def test_bytes_of_a_request_that_hangs_are_kept(pair: tuple[Process, Process], arrived: int) -> None:
    old, new = pair
    file = await old.create(len(DATA))
    hanging_request = await hung(old, file, DATA[:arrived])
    began = time.monotonic()
    async with new.parts.holdings.hold(await new.file(file.id)) as held:
        assert held.file.stored_bytes == arrived
    assert time.monotonic() - began < ANSWERED_SECONDS
    with pytest.raises(UploadTakenOver):
        await hanging_request
    await new.append(file, body_of([DATA[arrived:]]), offset=arrived)
    now = await new.file(file.id)
    assert now.stored_bytes == len(DATA)
    assert now.upload is not None
    assert now.upload.forced_at is None
    if old is new:
        assert await new.stored(file) == DATA


async def test_request_that_goes_on_from_the_same_offset_is_told_that_it_has_moved(
    pair: tuple[Process, Process],
) -> None:
    old, new = pair
    file = await old.create(len(DATA))
    hanging_request = await hung(old, file, DATA[:7])
    with pytest.raises(OffsetMismatch) as caught:
        await new.append(file, body_of([DATA]))
    assert caught.value.offset == 7
    with pytest.raises(UploadTakenOver):
        await hanging_request


async def test_request_without_a_byte_leaves_no_content_behind(
    pair: tuple[Process, Process], database: Database
) -> None:
    """Each request for an upload at offset 0 begins with a new content, and the one before must not stay.

    No byte of a request with a checksum counts before its end, although its chunks are stored.
    """
    old, new = pair
    file = await old.create(len(DATA))
    for _ in range(3):
        taken, checksum = asyncio.Event(), Checksum.read("md5 " + base64.b64encode(bytes(16)).decode())
        body = hanging(cut(DATA[: 17 * MIB], MIB), all_taken=taken)
        hanging_request = asyncio.create_task(old.append(file, body, checksum=checksum))
        await taken.wait()
        assert await database["contents"].count_documents({"state": "OPEN"}) == 1
        async with new.parts.holdings.hold(file):  # as it was before any request
            pass
        with pytest.raises(UploadTakenOver):
            await hanging_request
    now = await new.file(file.id)
    others = {str(one["_id"]) async for one in database["contents"].find({"state": "OPEN"})} - {now.content_id}
    assert others == set()


class _Stuck(MemoryChunks):
    """A chunk service in which a segment takes until `free` is set, and is then stored or refused."""

    def __init__(self, ports: Ports) -> None:
        super().__init__(ports.intake_with(15))
        self.free, self.stuck = asyncio.Event(), asyncio.Event()

    async def put(self, grant: ContentGrant, segment: Segment) -> None:
        self.stuck.set()
        await self.free.wait()
        await super().put(grant, segment)


async def test_holder_that_can_not_let_go_loses_the_upload_by_force(
    monkeypatch: pytest.MonkeyPatch, ports: Ports, starting: NewProcess
) -> None:
    monkeypatch.setattr(holding, "LET_GO_SECONDS", 0.2)
    chunks = _Stuck(ports)
    old, new = starting(chunks=chunks), starting()
    file = await old.create(len(DATA))
    await new.append(file, body_of([DATA[:5]]))
    other_bytes = bytes(len(DATA) - 5)
    request = asyncio.create_task(old.append(file, hanging([other_bytes]), offset=5))
    await chunks.stuck.wait()
    await new.append(file, body_of(cut(DATA[5:], MIB)), offset=5)
    now = await new.file(file.id)
    assert now.upload is not None
    assert now.upload.forced_at is not None
    assert (now.state, now.stored_bytes) == (FileState.STORED, len(DATA))
    chunks.free.set()
    with pytest.raises(UploadTakenOver):
        await request
    assert await new.file(file.id) == now
    assert await new.stored(file) == DATA


@pytest.mark.parametrize("ended", ["cancelled", "deleted"])
async def test_request_whose_upload_is_stopped_ends_soon(process: Process, ended: str) -> None:
    file = await process.create(len(DATA))
    request = await hung(process, file, DATA[: 17 * MIB])
    assert await process.ports.files.move(file.id, UPLOAD_MOVES[Action.CANCEL])
    if ended == "deleted":
        await process.ports.files.request_delete(file.id, deliveries_asked=0)
    began = time.monotonic()
    with pytest.raises(UploadTakenOver):
        await request
    assert time.monotonic() - began < ANSWERED_SECONDS
    with pytest.raises(LeaseLost):
        async with process.parts.holdings.hold(file):
            pass
    assert (await process.file(file.id)).state is not FileState.RECEIVING


async def test_new_request_does_not_wait_for_an_upload_that_ends_meanwhile(ports: Ports, starting: NewProcess) -> None:
    chunks = _Stuck(ports)
    old, new = starting(chunks=chunks), starting()
    file = await old.create(len(DATA))
    request = asyncio.create_task(old.append(file, hanging([DATA[: 33 * MIB]])))
    await chunks.stuck.wait()
    waiting = asyncio.create_task(new.append(file, body_of([DATA])))
    await eventually(lambda: _is_asked(new, file))
    await ports.files.move(file.id, UPLOAD_MOVES[Action.CANCEL])
    with pytest.raises(UploadTakenOver):
        await waiting
    chunks.free.set()
    with pytest.raises(UploadTakenOver):
        await request


async def _is_asked(process: Process, file: File) -> bool:
    upload = (await process.file(file.id)).upload
    return upload is not None and upload.asked_to_let_go


async def streaming(data: bytes, draw: random.Random) -> AsyncIterator[bytes]:
    """Yield the data as a fast client sends them: in parts of any size, now and then after a pause."""
    at = 0
    while at < len(data):
        size = draw.choice([1000, 65536, 300_000, MIB, 3 * MIB])
        yield data[at : at + size]
        at += size
        await asyncio.sleep(draw.choice([0, 0, 0, 0.001, 0.01]))


@pytest.mark.parametrize("memory_chunks", [8, 64])
@pytest.mark.parametrize("seed", range(6))
async def test_no_byte_is_lost_or_doubled_however_often_a_stream_is_taken_over(
    monkeypatch: pytest.MonkeyPatch, starting: NewProcess, seed: int, memory_chunks: int
) -> None:
    """The holder is ended at a random moment of its work, with data on every way: hashed, sent, and waiting."""
    monkeypatch.setattr(holding, "WATCH_SECONDS", 0.01)
    draw = random.Random(seed)
    processes = [starting(memory_chunks=memory_chunks) for _ in range(2)]
    file = await processes[0].create(len(DATA) if seed % 2 else None)
    offset, rounds = 0, 0
    while (await processes[0].file(file.id)).state is FileState.RECEIVING:
        monkeypatch.setattr(receiving, "GRACE_SECONDS", draw.choice([0, 0.01, 0.05]))
        process, other = draw.sample(processes, 2)
        body = streaming(DATA[offset:], draw)
        request = asyncio.create_task(process.append(file, body, offset=offset, length=len(DATA)))
        await asyncio.wait([request], timeout=draw.choice([0.02, 0.05, 0.1, 0.2]) if rounds < 12 else None)
        if not request.done():
            before = offset
            offset = await _settled(other, file)
            assert offset >= before
            (ended,) = await asyncio.gather(request, return_exceptions=True)
            assert ended == len(DATA) or isinstance(ended, UploadTakenOver)
        rounds += 1
    now = await processes[0].file(file.id)
    assert (now.stored_bytes, now.length) == (len(DATA), len(DATA))
    assert now.content_id is not None
    content = await processes[0].ports.contents.get(now.content_id)
    assert content is not None
    received = bytearray()
    await asyncio.to_thread(read_all, processes[0].ports.contents.read_open(content), received)
    assert received == DATA


async def _settled(process: Process, file: File) -> int:
    """Return the offset as HEAD tells it; the length once the upload is no longer RECEIVING."""
    try:
        async with process.parts.holdings.hold(await process.file(file.id)) as held:
            return held.file.stored_bytes
    except LeaseLost:
        return len(DATA)
