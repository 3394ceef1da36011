"""Parts are cut from blocks of any size, sent a few at once, and confirmed in their order."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from random import Random

import pytest

from gridhaul.targets.s3 import part_sizes
from gridhaul.targets.s3.documents import PartTag
from gridhaul.targets.s3.part_sizes import AT_ONCE, BUFFERED_BYTES, MIB
from gridhaul.targets.s3.parts import Cutter, Part
from gridhaul.targets.s3.writing import PartWriter, Send
from gridhaul.transfer.errors import LeaseLost, TargetInconsistent, TargetRefused
from gridhaul.transfer.model import Stage
from gridhaul.transfer.ports.targets import Leaving
from tests.targets.blocks import SomeBlocks, StalledBlocks, untold
from tests.targets.deliveries import stage_of, unnoted

SMALL = 1000  # bytes in a part; the writer takes any size


class Pieces(SomeBlocks):
    """Blocks of the lengths that a test chooses."""

    def __init__(self, data: bytes, lengths: Iterator[int]) -> None:
        super().__init__(data)
        self._lengths = lengths

    def __iter__(self) -> Iterator[bytes]:
        rest = self._data
        while rest:
            length = next(self._lengths)
            yield rest[:length]
            rest = rest[length:]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("in_memory", [True, False])
def test_parts_have_the_bytes_and_digests_of_their_place(seed: int, in_memory: bool) -> None:
    random = Random(seed)
    data = random.randbytes(random.randrange(1, 5000))
    cutter = Cutter(Pieces(data, iter(lambda: random.randrange(1, 900), None)))
    for start in range(0, len(data), SMALL):
        expected = data[start : start + SMALL]
        is_last = start + SMALL >= len(data)
        cut = cutter.in_memory if in_memory else cutter.hashed_now_sent_later
        part = cut(7, len(expected), is_last=is_last, sha256=True)
        assert part.sha256 == hashlib.sha256(expected).digest()
        assert part.payload == hashlib.sha256(expected).hexdigest()
        assert part.md5 == hashlib.md5(expected, usedforsecurity=False).digest()
        for _ in range(2):  # a part may be sent again
            assert b"".join(part.blocks) == expected


@pytest.mark.parametrize("length", [999, 1001])
@pytest.mark.parametrize("in_memory", [True, False])
def test_other_number_of_bytes_is_an_error(length: int, in_memory: bool) -> None:
    cutter = Cutter(SomeBlocks(bytes(1000)))
    cut = cutter.in_memory if in_memory else cutter.hashed_now_sent_later
    with pytest.raises(TargetInconsistent):
        cut(1, length, is_last=True, sha256=False)


class Bucket:
    """Takes parts as a server does, and notes what comes.

    Parts that `hold` chooses stay under way until AT_ONCE parts are.
    """

    def __init__(self, hold: Callable[[int], bool] = lambda _: False) -> None:
        self.parts: dict[int, bytes] = {}
        self.at_once = self.most_at_once = 0
        self._hold = hold
        self.released = asyncio.Event()

    async def send(self, part: Part, leaving: Leaving) -> PartTag:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        if self.at_once == AT_ONCE:
            self.released.set()
        try:
            self.parts[part.number] = await asyncio.to_thread(self._take, part, leaving)
            if self._hold(part.number):
                await self.released.wait()
        finally:
            self.at_once -= 1
        return PartTag(etag=f"tag{part.number}", sha256=None)

    def _take(self, part: Part, leaving: Leaving) -> bytes:
        leaving(0)
        taken = b""
        for block in part.blocks:
            leaving(len(block))
            taken += block
        return taken


def writer(stage: Stage, blocks: SomeBlocks, send: Send, leaving: Leaving = untold, size: int = SMALL) -> PartWriter:
    return PartWriter(stage, size, blocks, sha256=False, leaving=leaving, send=send)


async def test_parts_are_confirmed_in_order_though_they_end_in_another() -> None:
    data = Random(1).randbytes(9 * SMALL + 1)
    bucket = Bucket(hold=lambda number: number > 1)
    seen: list[Stage] = []

    async def confirmed(stage: Stage) -> None:
        seen.append(stage)

    whole = await writer(stage_of("x", len(data)), SomeBlocks(data), bucket.send).write(confirmed)
    assert [stage.offset for stage in seen] == [min(len(data), n * SMALL) for n in range(1, 11)]
    assert seen[-1] == whole
    assert whole.parts == tuple(f"tag{n}" for n in range(1, 11))
    assert b"".join(part for _, part in sorted(bucket.parts.items())) == data
    assert bucket.most_at_once == AT_ONCE


async def test_writing_goes_on_after_the_confirmed_parts() -> None:
    data = Random(2).randbytes(5 * SMALL)
    stage = Stage(
        name=".part", final_name="x", generation=1, length=len(data), offset=2 * SMALL, parts=("a", "b"), upload_id="u"
    )
    bucket = Bucket()
    whole = await writer(stage, SomeBlocks(data[2 * SMALL :]), bucket.send).write(unnoted)
    assert sorted(bucket.parts) == [3, 4, 5]
    assert whole.parts == ("a", "b", "tag3", "tag4", "tag5")
    assert whole.is_whole


async def test_bytes_that_leave_add_up() -> None:
    counted = 0

    def leaving(count: int) -> None:
        nonlocal counted
        counted += count

    await writer(stage_of("x", 7777), SomeBlocks(bytes(7777)), Bucket().send, leaving).write(unnoted)
    assert counted == 7777


@pytest.mark.parametrize("size", [SMALL, BUFFERED_BYTES + MIB])
async def test_nothing_leaves_after_leaving_has_failed(size: int) -> None:
    calls = 0

    def leaving(_: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise LeaseLost

    with pytest.raises(LeaseLost):
        await writer(stage_of("x", 9000), SomeBlocks(bytes(9000)), Bucket().send, leaving, size).write(unnoted)
    assert calls == 2


async def test_failed_part_ends_the_others_and_keeps_what_was_confirmed() -> None:
    bucket = Bucket(hold=lambda number: number > 3)
    seen: list[int] = []
    two_seen = asyncio.Event()

    async def send(part: Part, leaving: Leaving) -> PartTag:
        if part.number == 3:
            await two_seen.wait()
            raise TargetRefused("gone")
        return await bucket.send(part, leaving)

    async def confirmed(stage: Stage) -> None:
        seen.append(stage.offset)
        if len(seen) == 2:
            two_seen.set()

    with pytest.raises(TargetRefused, match="gone"):
        await writer(stage_of("x", 9000), SomeBlocks(bytes(9000)), send).write(confirmed)
    assert seen == [1000, 2000]
    assert bucket.at_once == 0


async def test_error_of_a_later_part_does_not_wait_for_an_earlier_one() -> None:
    async def send(part: Part, _: Leaving) -> PartTag:
        if part.number == 2:
            raise TargetRefused("gone")
        await asyncio.Event().wait()
        raise AssertionError("unreachable: the event is never set")

    async with asyncio.timeout(10):
        with pytest.raises(TargetRefused, match="gone"):
            await writer(stage_of("x", 9000), SomeBlocks(bytes(9000)), send).write(unnoted)


async def test_failure_of_the_blocks_does_not_wait_for_a_part_that_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_sizes, "BUFFERED_BYTES", SMALL - 1)  # the next part is hashed while this one is sent

    async def send(_: Part, __: Leaving) -> PartTag:
        await asyncio.Event().wait()
        raise AssertionError("unreachable: the event is never set")

    blocks = SomeBlocks(bytes(SMALL), failure=KeyError("x"))
    async with asyncio.timeout(10):
        with pytest.raises(KeyError):
            await writer(stage_of("x", 9000), blocks, send).write(unnoted)


async def test_failure_of_the_blocks_comes_before_their_last_part_is_confirmed() -> None:
    seen: list[int] = []

    async def confirmed(stage: Stage) -> None:
        seen.append(stage.offset)

    for size in (SMALL, BUFFERED_BYTES + MIB):
        blocks = SomeBlocks(bytes(2 * SMALL), failure=KeyError("x"))
        with pytest.raises(KeyError):
            await writer(stage_of("x", 2 * SMALL), blocks, Bucket().send, size=size).write(confirmed)
    assert 2 * SMALL not in seen


async def test_failure_of_confirming_passes_through() -> None:
    async def confirmed(_: Stage) -> None:
        raise LeaseLost

    bucket = Bucket()
    with pytest.raises(LeaseLost):
        await writer(stage_of("x", 9000), SomeBlocks(bytes(9000)), bucket.send).write(confirmed)
    assert bucket.at_once == 0


async def test_cancelled_writing_stops_the_blocks() -> None:
    blocks = StalledBlocks(bytes(2 * SMALL))
    bucket = Bucket(hold=lambda _: True)
    task = asyncio.create_task(writer(stage_of("x", 9000), blocks, bucket.send).write(unnoted))
    await asyncio.to_thread(blocks.begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert blocks.stopped.is_set()
    assert bucket.at_once == 0
