"""Parts that are too large for memory are read twice: hashed first, then sent. The limits are lowered."""

import asyncio
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from threading import Event

import pytest

from gridhaul.targets.s3 import part_sizes
from gridhaul.targets.s3.documents import PartTag
from gridhaul.targets.s3.part_sizes import PART_LEAST_BYTES as PART
from gridhaul.targets.s3.part_sizes import is_buffered
from gridhaul.targets.s3.parts import Part, digest_of
from gridhaul.targets.s3.writing import PartWriter
from gridhaul.transfer.errors import LeaseLost, TargetInconsistent
from gridhaul.transfer.model import Evidence, Stage
from gridhaul.transfer.ports.targets import Leaving
from tests.servers.disturbances import Answer, Asked, Instead
from tests.servers.proxy import proxying
from tests.targets.blocks import MIB, SomeBlocks, StalledBlocks, untold
from tests.targets.deliveries import holding, read, stage_of, unnoted
from tests.targets.places import S3Place

DATA = Random(3).randbytes(3 * PART + 5)


@pytest.fixture(autouse=True)
def _low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_sizes, "BUFFERED_BYTES", PART - 1)
    assert not is_buffered(PART)


class ReadTwice(SomeBlocks):
    """Blocks that note what is read again."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.again_from: list[int] = []

    def again(self, start: int, length: int) -> Iterator[bytes]:
        self.again_from.append(start)
        for at in range(start, start + length, MIB):
            yield self._data[at : min(at + MIB, start + length)]


class Changed(SomeBlocks):
    """Blocks that are others when they are read again."""

    def __init__(self, data: bytes, change: Callable[[bytes], bytes]) -> None:
        super().__init__(data)
        self._change = change

    def again(self, start: int, length: int) -> Iterator[bytes]:
        changed = self._change(self._data[start : start + length])
        for at in range(0, len(changed), MIB):
            yield changed[at : at + MIB]


async def test_each_part_is_sent_with_its_digests(place: S3Place) -> None:
    left = 0

    def leaving(count: int) -> None:
        nonlocal left
        left += count

    blocks, seen = ReadTwice(DATA), list[int]()

    async def confirmed(stage: Stage) -> None:
        seen.append(stage.offset)

    async with place.target() as target:
        stage = await target.begin(stage_of("run.bin", len(DATA)))
        whole = await target.write(stage, blocks, leaving=leaving, confirmed=confirmed)
        assert blocks.again_from == [0, PART, 2 * PART, 3 * PART]
        assert seen == [PART, 2 * PART, 3 * PART, len(DATA)]
        assert left == len(DATA)
        proved = place.kind == "seaweedfs"
        assert {PartTag.read(part).sha256 is not None for part in whole.parts} == {proved}
        assert await target.proof(whole) == (Evidence.PART_DIGESTS if proved else None)
        await target.commit(whole)
        assert await read(target, "run.bin", DATA) == holding(DATA)
        await target.remove("run.bin")


async def test_stage_goes_on_with_bytes_from_its_offset_on(place: S3Place) -> None:
    async def ends(stage: Stage) -> None:
        noted.append(stage)
        raise KeyError("the worker ends here")

    noted = list[Stage]()
    async with place.target() as target:
        stage = await target.begin(stage_of("run.bin", len(DATA)))
        with pytest.raises(KeyError):
            await target.write(stage, ReadTwice(DATA), leaving=untold, confirmed=ends)
        found = await target.resume(noted[-1])
        assert found is not None
        assert found.offset == PART
        rest = ReadTwice(DATA[PART:])
        whole = await target.write(found, rest, leaving=untold, confirmed=unnoted)
        assert rest.again_from == [0, PART, 2 * PART]
        await target.commit(whole)
        assert await read(target, "run.bin", DATA) == holding(DATA)
        await target.remove("run.bin")


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("change", [_flipped, lambda data: data[:-1], lambda data: data + b"x", lambda data: b""])
async def test_part_that_changes_between_both_readings_is_refused(
    place: S3Place, change: Callable[[bytes], bytes]
) -> None:
    async def confirmed(stage: Stage) -> None:
        raise AssertionError("a changed part was confirmed")

    async with place.target() as target:
        stage = await target.begin(stage_of("run.bin", len(DATA)))
        with pytest.raises(TargetInconsistent, match="others when they were read again"):
            await target.write(stage, Changed(DATA, change), leaving=untold, confirmed=confirmed)
        assert await target._bucket.parts("run.bin", stage.upload_id or "") == {}
        await target.abandon(stage)


async def test_digests_in_the_request_are_those_of_its_body(weed: S3Place) -> None:
    """Object Lock demands `Content-MD5`."""
    asked: list[Asked] = []

    def answer(request: Asked) -> Answer:
        asked.append(request)
        return Answer(status=200, headers={"ETag": f'"{digest_of("md5", request.body).hex()}"'})

    with proxying(weed.server.host, weed.server.port) as proxy:
        async with weed.target(endpoint=proxy.url) as target:
            stage = await target.begin(stage_of("run.bin", PART + 1))
            proxy.plan(Instead(answer=answer), method="PUT", times=2)
            await target.write(stage, ReadTwice(DATA[: PART + 1]), leaving=untold, confirmed=unnoted)
            await target.abandon(stage)
    assert [len(request.body) for request in asked] == [PART, 1]
    for request in asked:
        sha256 = digest_of("sha256", request.body)
        assert request.headers["content-md5"] == b64encode(digest_of("md5", request.body)).decode()
        assert request.headers["x-amz-checksum-sha256"] == b64encode(sha256).decode()
        assert request.headers["x-amz-content-sha256"] == sha256.hex()


class Gate:
    """Takes parts as a server does, one block after the other, once it is open."""

    def __init__(self) -> None:
        self.opened, self.begun = asyncio.Event(), asyncio.Event()
        self.at_once = self.most_at_once = 0

    async def send(self, part: Part, leaving: Leaving) -> PartTag:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.set()
        try:
            await self.opened.wait()
            await asyncio.to_thread(self._take, part, leaving)
        finally:
            self.at_once -= 1
        return PartTag(etag=f"tag{part.number}", sha256=None)

    def _take(self, part: Part, leaving: Leaving) -> None:
        leaving(0)
        for block in part.blocks:
            leaving(len(block))


def _writer(blocks: SomeBlocks, gate: Gate, length: int, leaving: Leaving = untold) -> PartWriter:
    return PartWriter(stage_of("x", length), PART, blocks, sha256=False, leaving=leaving, send=gate.send)


async def test_next_part_is_hashed_while_one_is_sent_and_never_sent_beside_it() -> None:
    hashed = Event()

    class Noting(ReadTwice):
        def __iter__(self) -> Iterator[bytes]:
            for number, block in enumerate(super().__iter__(), 1):
                if number == 2 * PART // MIB:
                    hashed.set()
                yield block

    gate = Gate()
    writing = asyncio.create_task(_writer(Noting(DATA), gate, len(DATA)).write(unnoted))
    await gate.begun.wait()
    assert await asyncio.to_thread(hashed.wait, 30), "the second part waits until the first is sent"
    gate.opened.set()
    assert (await writing).is_whole
    assert gate.most_at_once == 1


async def test_second_reading_has_begun_before_a_part_is_sent() -> None:
    """It may take long, because the first one checks the manifest, and a server waits only so long for a body."""
    blocks, begun = ReadTwice(DATA), list[int]()

    async def send(part: Part, leaving: Leaving) -> PartTag:
        begun.append(len(blocks.again_from))
        assert b"".join(part.blocks) == DATA[(part.number - 1) * PART : part.number * PART]
        return PartTag(etag=f"tag{part.number}", sha256=None)

    stage = stage_of("x", len(DATA))
    await PartWriter(stage, PART, blocks, sha256=False, leaving=untold, send=send).write(unnoted)
    assert begun == [1, 2, 3, 4]
    assert len(blocks.again_from) == len(begun)


async def test_cancel_in_the_middle_of_the_first_reading_stops_the_blocks() -> None:
    blocks, gate = StalledBlocks(DATA[: PART - 1]), Gate()
    writing = asyncio.create_task(_writer(blocks, gate, len(DATA)).write(unnoted))
    await asyncio.to_thread(blocks.begun.wait)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert blocks.stopped.is_set()
    assert not gate.begun.is_set()


async def test_cancel_in_the_middle_of_the_second_reading_stops_the_blocks() -> None:
    class Stalled(StalledBlocks):
        def again(self, start: int, length: int) -> Iterator[bytes]:
            yield self._data[:1]
            self.begun.set()
            self.stopped.wait()

        def __iter__(self) -> Iterator[bytes]:
            return SomeBlocks.__iter__(self)

    blocks, gate = Stalled(DATA), Gate()
    gate.opened.set()
    writing = asyncio.create_task(_writer(blocks, gate, len(DATA)).write(unnoted))
    await asyncio.to_thread(blocks.begun.wait)
    writing.cancel()
    with suppress(asyncio.CancelledError):
        await writing
    assert writing.cancelled()
    assert blocks.stopped.is_set()
    assert gate.at_once == 0


async def test_lost_lease_is_noticed_before_a_hashed_part_leaves() -> None:
    def leaving(_: int) -> None:
        raise LeaseLost

    gate = Gate()
    gate.opened.set()
    with pytest.raises(LeaseLost):
        await _writer(ReadTwice(DATA), gate, len(DATA), leaving).write(unnoted)
