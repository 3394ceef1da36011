"""One request that appends to an upload: what has arrived is stored, however the request ends."""

import asyncio
import base64
import hashlib
import random
from collections.abc import AsyncIterator

import pytest
from starlette.requests import ClientDisconnect

from api.uploads.appending import finish_received
from api.uploads.checksum import Checksum
from api.uploads.receiving import Receiving
from gridhaul.transfer.errors import (
    ChecksumMismatch,
    ChunkMissing,
    ChunkServiceUnavailable,
    Malformed,
    OffsetMismatch,
    PayloadTooLarge,
    QuotaExceeded,
    RequestTimeout,
    UploadDigestMismatch,
)
from gridhaul.transfer.grants import ContentGrant
from gridhaul.transfer.model import File, Hint, Segment, TaskName
from gridhaul.transfer.states import FileState, Layout
from tests.api.uploads.bodies import body_of, cut, hanging
from tests.api.uploads.conftest import NewProcess
from tests.api.uploads.process import Process
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import Ports
from tests.faults.failing_ports import MemoryChunks

PART = 300_000  # bytes in which bodies arrive: no whole number of parts makes a chunk
LENGTHS = (0, 1, MIB - 1, MIB, 15 * MIB, 15 * MIB + 1, 16 * MIB, 17 * MIB + 5, 32 * MIB)
SMALL, LARGE = some_bytes(2 * MIB + 5), some_bytes(17 * MIB + 5)


def sha1_of(data: bytes) -> Checksum | None:
    return Checksum.read("sha1 " + base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def assert_stored(process: Process, file: File, data: bytes) -> None:
    now = await process.file(file.id)
    assert (now.state, now.error, now.length, now.stored_bytes) == (FileState.STORED, None, len(data), len(data))
    assert now.sha256 == sha256(data)
    assert await process.stored(file) == data
    assert await process.used_bytes() == len(data)
    assert now.content_id is not None
    assert await process.ports.contents.tail(now.content_id) is None


@pytest.mark.parametrize("length", LENGTHS)
async def test_file_of_a_known_length_is_stored_when_its_last_byte_has_arrived(process: Process, length: int) -> None:
    data = some_bytes(length)
    file = await process.create(length)
    assert await process.append(file, body_of(cut(data, PART))) == length
    await assert_stored(process, file, data)
    assert (await process.file(file.id)).layout is (Layout.INLINE if length <= 15 * MIB else Layout.GRIDFS)
    assert process.hints == []


@pytest.mark.parametrize("length", LENGTHS)
async def test_file_that_ends_where_the_body_ends_is_stored_at_once(process: Process, length: int) -> None:
    data = some_bytes(length)
    file = await process.create(None)
    assert await process.append(file, body_of(cut(data, PART)), ends_file=True) == length
    await assert_stored(process, file, data)
    assert process.hints == []


async def test_stored_file_with_destinations_is_hinted(process: Process) -> None:
    file = await process.create(len(SMALL), to=True)
    await process.append(file, body_of([SMALL]))
    assert process.hints == [Hint(task=TaskName.UPLOAD_FILE, record_id=file.id, queue=file.queue)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("error", [ClientDisconnect(), RequestTimeout("stalled")], ids=["disconnect", "stall"])
async def test_everything_that_arrived_counts_however_often_the_line_breaks(
    process: Process, seed: int, error: Exception
) -> None:
    draw, data = random.Random(seed), LARGE
    file = await process.create(len(data) if seed % 2 else None)
    offset = 0
    while offset < len(data):
        end = min(len(data), offset + draw.choice([1, 5, MIB, MIB + 1, 3 * MIB, 9 * MIB + 7]))
        parts = cut(data[offset:end], draw.choice([1000, PART, 5 * MIB]))
        if end == len(data):
            await process.append(file, body_of(parts), offset=offset, length=len(data))
        else:
            with pytest.raises(type(error)):
                await process.append(file, body_of(parts, then=error), offset=offset)
            assert (await process.file(file.id)).stored_bytes == end
        offset = end
    await assert_stored(process, file, data)
    assert process.hints == []


async def test_upload_that_another_process_continues_is_left_to_a_worker(starting: NewProcess) -> None:
    one, two = starting(), starting()
    file = await one.create(len(LARGE))
    await one.append(file, body_of([LARGE[: 3 * MIB + 7]]))
    assert await two.append(file, body_of([LARGE[3 * MIB + 7 :]]), offset=3 * MIB + 7) == len(LARGE)
    now = await two.file(file.id)
    assert (now.state, now.stored_bytes) == (FileState.STORING, len(LARGE))
    assert two.hints == [Hint(task=TaskName.UPLOAD_FILE, record_id=file.id, queue=file.queue)]


async def test_request_without_bytes_changes_nothing(process: Process) -> None:
    file = await process.create(len(SMALL))
    await process.append(file, body_of([SMALL[:7]]))
    assert await process.append(file, body_of([]), offset=7) == 7
    await process.append(file, body_of([SMALL[7:]]), offset=7)
    await assert_stored(process, file, SMALL)


@pytest.mark.parametrize("offset", [0, 6, 8, len(SMALL)])
async def test_request_with_another_offset_is_told_the_right_one_and_not_read(process: Process, offset: int) -> None:
    file = await process.create(len(SMALL))
    await process.append(file, body_of([SMALL[:7]]))
    body = body_of([b"x"])
    with pytest.raises(OffsetMismatch) as caught:
        await process.append(file, body, offset=offset)
    assert caught.value.offset == 7
    assert await anext(body) == b"x"
    await process.append(file, body_of([SMALL[7:]]), offset=7)
    await assert_stored(process, file, SMALL)


@pytest.mark.parametrize("length", [5, MIB, 17 * MIB])
async def test_body_that_goes_beyond_the_end_keeps_what_fits_whole_parts(process: Process, length: int) -> None:
    data = some_bytes(length)
    file = await process.create(length)
    with pytest.raises(PayloadTooLarge):
        await process.append(file, body_of([*cut(data[:-1], PART), b"xy"]))
    now = await process.file(file.id)
    assert (now.state, now.stored_bytes) == (FileState.RECEIVING, length - 1)
    await process.append(file, body_of([data[-1:]]), offset=length - 1)
    await assert_stored(process, file, data)


@pytest.mark.parametrize("began_with", [0, 5, MIB + 5, 16 * MIB + 5])
async def test_request_with_a_wrong_checksum_counts_for_nothing(process: Process, began_with: int) -> None:
    file = await process.create(len(LARGE))
    if began_with:
        await process.append(file, body_of([LARGE[:began_with]]))
    rest, wrong = LARGE[began_with:], bytes(len(LARGE) - began_with)
    with pytest.raises(ChecksumMismatch):
        await process.append(file, body_of(cut(wrong, PART)), offset=began_with, checksum=sha1_of(rest))
    now = await process.file(file.id)
    assert (now.state, now.stored_bytes) == (FileState.RECEIVING, began_with)
    await process.append(file, body_of(cut(rest, PART)), offset=began_with, checksum=sha1_of(rest))
    await assert_stored(process, file, LARGE)


async def test_request_with_a_checksum_that_breaks_off_counts_for_nothing(process: Process) -> None:
    file = await process.create(len(LARGE))
    await process.append(file, body_of([LARGE[:5]]))
    with pytest.raises(ClientDisconnect):
        await process.append(
            file, body_of(cut(LARGE[5:-1], PART), then=ClientDisconnect()), offset=5, checksum=sha1_of(LARGE[5:])
        )
    assert (await process.file(file.id)).stored_bytes == 5
    await process.append(file, body_of([LARGE[5:]]), offset=5)
    await assert_stored(process, file, LARGE)


@pytest.mark.parametrize("ends", [(5, 6, MIB + 9), (MIB, 2 * MIB), (17 * MIB + 1,)])
async def test_requests_with_right_checksums_count_one_by_one(process: Process, ends: tuple[int, ...]) -> None:
    file, at = await process.create(len(LARGE)), 0
    for end in (*ends, len(LARGE)):
        part = LARGE[at:end]
        assert await process.append(file, body_of(cut(part, PART)), offset=at, checksum=sha1_of(part)) == end
        at = end
    await assert_stored(process, file, LARGE)


async def test_small_file_with_a_wrong_checksum_is_not_stored(process: Process) -> None:
    file = await process.create(len(SMALL))
    with pytest.raises(ChecksumMismatch):
        await process.append(file, body_of([bytes(len(SMALL))]), checksum=sha1_of(SMALL))
    assert (await process.file(file.id)).stored_bytes == 0
    await process.append(file, body_of([SMALL]), checksum=sha1_of(SMALL))
    await assert_stored(process, file, SMALL)


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
async def test_file_with_another_digest_than_its_client_named_fails(process: Process, data: bytes) -> None:
    file = await process.create(len(data), sha256="0" * 64)
    with pytest.raises(UploadDigestMismatch, match=sha256(data)):
        await process.append(file, body_of([data]))
    now = await process.file(file.id)
    assert (now.state, now.error and now.error.code) == (FileState.FAILED, UploadDigestMismatch.code)
    right = await process.create(len(data), sha256=sha256(data))
    await process.append(right, body_of([data]))
    assert (await process.file(right.id)).state is FileState.STORED


async def test_length_may_be_named_with_any_request_but_only_once(process: Process) -> None:
    file = await process.create(None)
    await process.append(file, body_of([LARGE[:9]]))
    with pytest.raises(Malformed):
        await process.append(file, body_of([LARGE[9:]]), offset=9, length=8)
    await process.append(file, body_of([LARGE[9:20]]), offset=9, length=len(LARGE))
    with pytest.raises(Malformed):
        await process.append(file, body_of([LARGE[20:]]), offset=20, length=len(LARGE) + 1)
    assert await process.used_bytes() == len(LARGE)
    await process.append(file, body_of([LARGE[20:]]), offset=20, length=len(LARGE))
    await assert_stored(process, file, LARGE)


@pytest.mark.parametrize("length", [0, 5, MIB, 16 * MIB, 17 * MIB + 5])
async def test_length_named_after_the_last_byte_finishes_the_upload(process: Process, length: int) -> None:
    data = some_bytes(length)
    file = await process.create(None)
    await process.append(file, body_of(cut(data, PART)))
    assert await process.append(file, body_of([]), offset=length, length=length) == length
    await assert_stored(process, file, data)
    assert process.hints == []


@pytest.mark.parametrize("length", [5, 3 * MIB, 18 * MIB, 40 * MIB])
async def test_upload_of_unknown_length_never_counts_more_than_was_charged(starting: NewProcess, length: int) -> None:
    """The quota ends the upload in the middle. The record must not count bytes that the account does not count."""
    process = starting(quota_bytes=length - 1)
    file = await process.create(None)
    with pytest.raises(QuotaExceeded):
        await process.append(file, body_of(cut(some_bytes(length), PART)), ends_file=True)
    now = await process.file(file.id)
    assert now.state is FileState.RECEIVING
    assert now.stored_bytes <= now.used_bytes <= await process.used_bytes() < length


async def test_tail_that_is_lost_ends_the_request_with_an_error(ports: Ports, process: Process) -> None:
    file = await process.create(len(SMALL))
    await process.append(file, body_of([SMALL[:7]]))
    now = await process.file(file.id)
    assert now.content_id is not None
    content = await ports.contents.get(now.content_id)
    assert content is not None
    await ports.contents.abandon(content)
    with pytest.raises(ChunkMissing):
        await process.append(file, body_of([SMALL[7:]]), offset=7)


class _FailingLater(MemoryChunks):
    """A chunk service that is away from the n-th segment on, until it is `well`."""

    def __init__(self, ports: Ports, *, after: int) -> None:
        super().__init__(ports.intake_with(15))
        self.well, self._left = False, after

    async def put(self, grant: ContentGrant, segment: Segment) -> None:
        self._left -= 1
        if self._left < 0 and not self.well:
            raise ChunkServiceUnavailable("The chunk service is away.")
        await super().put(grant, segment)


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_error_of_storing_keeps_what_was_stored_before_it(ports: Ports, starting: NewProcess, after: int) -> None:
    data, chunks = some_bytes(50 * MIB), _FailingLater(ports, after=after)
    process = starting(chunks=chunks)
    file = await process.create(len(data))
    with pytest.raises(ChunkServiceUnavailable):
        await process.append(file, body_of(cut(data, PART)))
    offset = (await process.file(file.id)).stored_bytes
    assert offset == after * process.parts.memory.segment_chunks * MIB
    chunks.well = True
    await process.append(file, body_of(cut(data[offset:], PART)), offset=offset)
    await assert_stored(process, file, data)


@pytest.mark.parametrize("memory_chunks", [4, 6])
async def test_with_little_memory_segments_are_shorter_and_the_file_is_the_same(
    starting: NewProcess, memory_chunks: int
) -> None:
    process = starting(memory_chunks=memory_chunks)
    file = await process.create(len(LARGE))
    await process.append(file, body_of(cut(LARGE, PART)))
    await assert_stored(process, file, LARGE)


@pytest.mark.parametrize("requests", [2, 3, 8])
async def test_small_files_that_fill_the_memory_together_do_not_wait_for_each_other(
    starting: NewProcess, requests: int
) -> None:
    """Each request holds whole chunks when it comes to its last one, and all of them together hold all the memory."""
    process, whole = starting(memory_chunks=16 * requests), asyncio.Barrier(requests)
    data = some_bytes(4 * MIB + 5)  # a quarter of the memory is for chunks: 4 for each request

    async def upload() -> None:
        async def body() -> AsyncIterator[bytes]:
            yield data[: 4 * MIB]
            await whole.wait()
            yield data[4 * MIB :]

        file = await process.create(len(data))
        await process.append(file, body())
        assert await process.stored(file) == data

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for _ in range(requests):
            group.create_task(upload())


async def test_bytes_of_slow_clients_do_not_hold_up_others(starting: NewProcess) -> None:
    process = starting(memory_chunks=16)  # 4 chunks may be on their way
    slow, all_taken = await process.create(None), asyncio.Event()
    hanging_request = asyncio.create_task(
        process.append(slow, hanging(cut(some_bytes(3 * MIB), PART), all_taken=all_taken))
    )
    await all_taken.wait()
    async with asyncio.timeout(10):
        for data in (SMALL, LARGE):
            file = await process.create(len(data))
            await process.append(file, body_of(cut(data, PART)))
            assert await process.stored(file) == data
    hanging_request.cancel()
    await asyncio.wait([hanging_request])


async def test_slow_client_gives_up_its_memory_with_the_next_part_of_its_body(starting: NewProcess) -> None:
    process = starting(memory_chunks=16)
    memory = process.parts.memory

    async def body() -> AsyncIterator[bytes]:
        yield some_bytes(3 * MIB)
        await memory.take_chunk()  # another request takes the last chunk of memory
        yield b"x"
        async with asyncio.timeout(10):
            while memory.is_short:  # noqa: ASYNC110 - nobody tells when memory is free
                await asyncio.sleep(0.01)

    slow = await process.create(None)
    await process.append(slow, body())
    assert (await process.file(slow.id)).stored_bytes == 3 * MIB + 1
    memory.free_chunks(1)


@pytest.mark.parametrize("data", [b"", LARGE], ids=["empty", "large"])
async def test_upload_whose_process_died_before_it_finished_is_finished_by_the_next_request(
    starting: NewProcess, data: bytes
) -> None:
    """A client that asks for the offset and gets the length takes its upload for a success, and sends nothing more."""
    dead, other = starting(), starting()
    file = await dead.create(len(data))
    async with dead.parts.holdings.hold(file) as held:
        receiving = Receiving(dead.parts, held)
        await receiving.read(body_of(cut(data, PART)))
        receiving.close()
    assert (await other.file(file.id)).stored_bytes == len(data)
    async with other.parts.holdings.hold(await other.file(file.id)) as held:
        await finish_received(other.parts, held)
    now = await other.file(file.id)
    assert now.state is (FileState.STORING if data else FileState.STORED)
    assert len(other.hints) == bool(data)


async def test_repeated_last_request_finishes_an_upload_whose_process_died(process: Process) -> None:
    file = await process.create(len(LARGE))
    async with process.parts.holdings.hold(file) as held:
        receiving = Receiving(process.parts, held)
        await receiving.read(body_of(cut(LARGE, PART)))
        receiving.close()
    assert await process.append(file, body_of([]), offset=len(LARGE)) == len(LARGE)
    await assert_stored(process, file, LARGE)
