"""`ParallelDigests`: chunks that arrive nearly in order are hashed in passing; all memory is given back."""

import asyncio
import random
from itertools import permutations

import pytest

from api.uploads.memory import UploadMemory
from api.uploads.parallel import digests as parallel_digests
from api.uploads.parallel.digests import AHEAD_CHUNKS, ParallelDigests
from gridhaul.transfer.model import RecordId, Seal, Segment
from tests.contracts.bytes_to_store import MIB, seal_of, segment, some_bytes

ONE, TWO = RecordId("1" * 24), RecordId("2" * 24)
SMALL = 64  # bytes of a chunk: what is hashed here need not have the length of a real chunk
MANY = 128 * MIB  # a quarter of it is for chunks that wait


def small_segments(count: int, *, chunks: int = 1) -> list[Segment]:
    """Return segments of tiny chunks."""
    return [tiny(n * chunks, chunks) for n in range(count)]


def tiny(first: int, chunks: int) -> Segment:
    data = tuple(random.Random(n).randbytes(SMALL) for n in range(first, first + chunks))
    digests = tuple(segment(chunk).digests[0] for chunk in data)
    return Segment(first=first, chunks=data, digests=digests)


def free(memory: UploadMemory) -> int:
    """Return how many chunks are free."""
    return memory._free_chunks._value


def seal(digests: ParallelDigests, file_id: RecordId = ONE) -> Seal | None:
    """Return the seal of what was hashed, and forget it."""
    found = digests.take(file_id)
    return None if found is None else found.seal()


async def in_order(parts: list[Segment]) -> Seal | None:
    digests = ParallelDigests(UploadMemory(MANY))
    digests.begin(ONE)
    for part in parts:
        await digests.add(ONE, part)
    return seal(digests)


async def test_digest_is_that_of_the_file() -> None:
    data = some_bytes(5 * MIB + 5)
    memory = UploadMemory(MANY)
    digests = ParallelDigests(memory, turn_seconds=0.1)
    digests.begin(ONE)
    for first in (2, 4, 0):
        await digests.add(ONE, segment(data, first, 2))
    assert seal(digests) == seal_of(data)
    assert free(memory) == 32


async def test_order_of_arrival_does_not_matter() -> None:
    parts = small_segments(5, chunks=2)
    expected = await in_order(parts)
    for order in permutations(parts):
        memory = UploadMemory(MANY)
        digests = ParallelDigests(memory, turn_seconds=0.1)
        digests.begin(ONE)
        for part in order:
            await digests.add(ONE, part)
        assert seal(digests) == expected
        assert free(memory) == 32


async def test_segments_that_arrive_at_once_are_hashed_in_their_order() -> None:
    parts = small_segments(24)
    expected = await in_order(parts)
    for seed in range(20):
        order, memory = random.Random(seed).sample(parts, len(parts)), UploadMemory(MANY)
        digests = ParallelDigests(memory, turn_seconds=0.1)
        digests.begin(ONE)
        await asyncio.gather(*(digests.add(ONE, part) for part in order))
        assert seal(digests) == expected
        assert free(memory) == 32


async def test_repeated_segment_is_hashed_once() -> None:
    parts = small_segments(3)
    memory = UploadMemory(MANY)
    digests = ParallelDigests(memory, turn_seconds=0.1)
    digests.begin(ONE)
    for part in (parts[1], parts[1], parts[0], parts[0], parts[2], parts[1], parts[2]):
        await digests.add(ONE, part)
    assert seal(digests) == await in_order(parts)
    assert free(memory) == 32


async def test_upload_of_another_process_has_no_digest() -> None:
    memory = UploadMemory(MANY)
    digests = ParallelDigests(memory, turn_seconds=0.1)
    await digests.add(ONE, tiny(0, 1))
    assert digests.take(ONE) is None
    assert free(memory) == 32


async def test_missing_segment_leaves_the_digest_of_what_comes_before_it() -> None:
    parts = small_segments(4)
    digests = ParallelDigests(UploadMemory(MANY))
    digests.begin(ONE)
    for part in (parts[0], parts[1], parts[3]):
        await digests.add(ONE, part)
    found = digests.take(ONE)
    assert found is not None
    assert found.offset == 2 * SMALL


async def test_upload_whose_chunks_come_too_far_out_of_order_loses_its_digest_and_its_memory() -> None:
    memory = UploadMemory(2 * MANY)
    digests = ParallelDigests(memory, turn_seconds=0.1)
    digests.begin(ONE)
    for n in range(1, AHEAD_CHUNKS + 1):
        await digests.add(ONE, tiny(n, 1))
    assert free(memory) == 64 - AHEAD_CHUNKS
    await digests.add(ONE, tiny(AHEAD_CHUNKS + 1, 1))
    assert digests.take(ONE) is None
    assert free(memory) == 64


async def test_without_free_memory_nothing_waits() -> None:
    memory = UploadMemory(16 * MIB)
    digests = ParallelDigests(memory, turn_seconds=0.1)
    digests.begin(ONE)
    await digests.add(ONE, tiny(0, 16))  # it is its turn, so its request's own memory is enough
    await digests.add(ONE, tiny(17, 4))
    assert free(memory) == 0
    await digests.add(ONE, tiny(22, 1))
    assert digests.take(ONE) is None
    assert free(memory) == 4


async def test_upload_that_nobody_continues_keeps_no_memory_from_others() -> None:
    """A client may vanish after it has sent all chunks but the first."""
    memory = UploadMemory(16 * MIB)
    digests = ParallelDigests(memory, turn_seconds=0.1)
    for file_id in (ONE, TWO):
        digests.begin(file_id)
        await digests.add(file_id, tiny(1, 2))
    assert memory.is_short
    async with asyncio.timeout(10):
        for _ in range(4):
            await memory.take_chunk()
    assert digests.take(ONE) is None
    assert digests.take(TWO) is None


async def test_cancelled_request_gives_the_memory_back_and_leaves_no_wrong_digest() -> None:
    parts, memory = small_segments(3), UploadMemory(MANY)
    for turns in range(6):
        digests = ParallelDigests(memory, turn_seconds=0.1)
        digests.begin(ONE)
        await digests.add(ONE, parts[1])
        adding = asyncio.create_task(digests.add(ONE, parts[0]))
        for _ in range(turns):
            await asyncio.sleep(0)
        adding.cancel()
        await asyncio.wait([adding])
        await digests.add(ONE, parts[2])
        found = digests.take(ONE)
        assert found is not None
        assert found.seal() in [await in_order(parts[:count]) for count in range(4)]
        assert free(memory) == 32


async def test_oldest_uploads_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_digests, "UPLOADS_MOST", 2)
    memory = UploadMemory(MANY)
    digests = ParallelDigests(memory, turn_seconds=0.1)
    for name in "abc":
        digests.begin(RecordId(name * 24))
        await digests.add(RecordId(name * 24), tiny(1, 1))
    assert [digests.take(RecordId(name * 24)) is not None for name in "abc"] == [False, True, True]
    assert free(memory) == 32


async def test_request_that_finds_no_memory_waits_for_its_turn() -> None:
    """The chunks of a request come before their turn, and there is no memory to keep them: the digest is whole."""
    first, second = small_segments(2)
    memory = UploadMemory(8 * MIB)
    digests = ParallelDigests(memory)
    digests.begin(ONE)
    while not memory.is_short:
        await memory.take_chunk()
    early = asyncio.create_task(digests.add(ONE, second))
    done, _ = await asyncio.wait([early], timeout=0.05)
    assert not done
    await digests.add(ONE, first)
    await early
    digest = digests.take(ONE)
    assert digest is not None
    assert digest.offset == 2 * SMALL


async def test_upload_that_begins_again_gives_back_the_memory_of_its_first_beginning() -> None:
    parts, memory = small_segments(3), UploadMemory(MANY)
    digests = ParallelDigests(memory, turn_seconds=0.1)
    digests.begin(ONE)
    await digests.add(ONE, parts[2])
    await digests.add(ONE, parts[1])
    assert free(memory) == 30
    digests.begin(ONE)
    assert free(memory) == 32
    for part in parts:
        await digests.add(ONE, part)
    assert seal(digests) == await in_order(parts)
    assert free(memory) == 32
