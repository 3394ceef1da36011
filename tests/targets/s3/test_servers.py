"""Deliveries to real S3 servers, beyond the suites of tests/contracts: parts, marks, resumed and abandoned stages."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from gridhaul.targets.http_session import Answer
from gridhaul.targets.s3.documents import PartTag
from gridhaul.targets.s3.part_sizes import PART_LEAST_BYTES as PART
from gridhaul.transfer.errors import (
    LeaseLost,
    ObjectExists,
    TargetInconsistent,
    TargetRefused,
)
from gridhaul.transfer.model import Stage
from gridhaul.transfer.origins import Attributes
from tests.targets.blocks import SomeBlocks, StalledBlocks, untold
from tests.targets.deliveries import deliver, holding, read, stage_of, unnoted, written
from tests.targets.places import S3Place


def data_of(length: int) -> bytes:
    return Random(length).randbytes(length)


@pytest.mark.parametrize("length", [0, 1, PART + 1, 4 * PART])
async def test_parts_are_confirmed_in_their_order(place: S3Place, length: int) -> None:
    seen: list[Stage] = []

    async def confirmed(stage: Stage) -> None:
        seen.append(stage)

    async with place.target() as target:
        whole = await written(
            target, "run.bin", bytes(length), confirmed=confirmed, attributes=Attributes(mtime_ns=1, mode=None)
        )
        assert [stage.offset for stage in seen] == [*range(PART, length, PART), *([length] if length else [])]
        await target.commit(whole)
        assert await target.tag("run.bin") == whole.name
        await target.remove("run.bin")
        assert await target.tag("run.bin") is None


@pytest.mark.parametrize("name", ["a/../b", "a//b", "a/", "a\\b", "a\nb", "x" * 1025])
async def test_name_that_servers_lose_is_refused_by_every_method(weed: S3Place, name: str) -> None:
    async with weed.target() as target:
        with pytest.raises(TargetRefused):
            await target.begin(stage_of(name, 1))
        with pytest.raises(TargetRefused):
            await target.find(name, length=1)
        with pytest.raises(TargetRefused):
            await target.tag(name)
        with pytest.raises(TargetRefused):
            await target.remove(name)
        with pytest.raises(TargetRefused):
            await read(target, name, b"x")


async def test_name_that_is_taken_at_the_last_moment(place: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a target that was seen to be exclusive notices it: that is what `exclusive` means."""
    async with place.target() as target, place.target() as other:
        stage = await written(target, "run.bin", b"second", generation=8)
        head = target._bucket.head

        async def taken_after_the_look(name: str) -> Answer:
            answer: Answer = await head(name)
            await deliver(other, "run.bin", b"first")
            return answer

        monkeypatch.setattr(target._bucket, "head", taken_after_the_look)
        if target.abilities.exclusive:
            await deliver(other, "run.bin", b"first")
            with pytest.raises(ObjectExists):
                await target.commit(stage)
            assert await read(other, "run.bin", b"first") == holding(b"first")
        else:
            await target.commit(stage)
            assert await read(other, "run.bin", b"second") == holding(b"second")
        await other.remove("run.bin")


async def test_stage_goes_on_in_another_target(place: S3Place) -> None:
    data = data_of(3 * PART + 5)
    noted: list[Stage] = []

    async def confirmed(stage: Stage) -> None:
        noted.append(stage)
        if len(noted) == 2:
            raise KeyError("the worker ends here")

    async with place.target() as first:
        stage = await first.begin(stage_of("run.bin", len(data)))
        with pytest.raises(KeyError):
            await first.write(stage, SomeBlocks(data), leaving=untold, confirmed=confirmed)
    sent = 0

    def leaving(count: int) -> None:
        nonlocal sent
        sent += count

    async with place.target() as second:
        found = await second.resume(noted[-1])
        assert found == noted[-1]
        assert found.offset == 2 * PART
        whole = await second.write(found, SomeBlocks(data[2 * PART :]), leaving=leaving, confirmed=unnoted)
        assert sent == len(data) - 2 * PART
        assert await second.resume(whole) == whole
        await second.commit(whole)
        assert await read(second, "run.bin", data) == holding(data)
        await second.remove("run.bin")


async def test_writing_begins_at_the_offset_whatever_parts_are_known(rclone: S3Place) -> None:
    data = data_of(2 * PART + 5)
    async with rclone.target() as target:
        whole = await written(target, "run.bin", data)
        again = replace(whole, offset=PART)
        rest = SomeBlocks(data[PART:])
        assert await target.write(again, rest, leaving=untold, confirmed=unnoted) == whole
        for offset, parts in ((PART + 1, whole.parts), (PART, ())):
            with pytest.raises(TargetInconsistent, match="offset"):
                await target.write(replace(whole, offset=offset, parts=parts), rest, leaving=untold, confirmed=unnoted)
        await target.commit(whole)
        assert await read(target, "run.bin", data) == holding(data)
        await target.remove("run.bin")


async def test_part_with_another_tag_or_length_does_not_count(place: S3Place) -> None:
    async with place.target() as target:
        data = data_of(2 * PART + 1)
        whole = await written(target, "run.bin", data)
        assert await target.resume(whole) == whole
        tags = [PartTag.read(part) for part in whole.parts]
        other = str(replace(tags[1], etag="0" * 32))
        found = await target.resume(replace(whole, parts=(whole.parts[0], other, whole.parts[2])))
        assert found == replace(whole, offset=PART, parts=whole.parts[:1])
        found = await target.resume(replace(whole, length=whole.length + 1))
        assert found == replace(whole, length=whole.length + 1, offset=2 * PART, parts=whole.parts[:2])
        assert await target.resume(replace(whole, upload_id=None)) is None
        assert await target.resume(replace(whole, upload_id=f"{whole.upload_id}x")) is None
        await target.abandon(whole)


async def test_abandoned_stage_is_gone(place: S3Place) -> None:
    async with place.target() as target:
        whole = await written(target, "run.bin", b"data")
        assert [upload.upload_id for upload in (await target.unfinished("run")).uploads] == [whole.upload_id]
        for _ in range(2):
            await target.abandon(whole)
        assert await target.resume(whole) is None
        gone = place.traits.gone
        with pytest.raises(gone):
            await target.commit(whole)
        with pytest.raises(gone):
            await target.replace(whole)
        with pytest.raises(gone):
            await target.write(
                replace(whole, offset=0, parts=()), SomeBlocks(b"data"), leaving=untold, confirmed=unnoted
            )
        assert await target.find("run.bin", length=4) is None
        await target.abandon(stage_of("run.bin", 4))  # it was never begun


async def test_stage_with_parts_missing_is_never_committed(place: S3Place) -> None:
    """Servers accept a list that leaves parts out, and make an object of the others."""
    async with place.target() as target:
        whole = await written(target, "run.bin", data_of(2 * PART))
        for stage in (
            replace(whole, parts=whole.parts[:1]),
            replace(whole, offset=PART, parts=whole.parts[:1]),
            replace(whole, parts=(*whole.parts, whole.parts[1])),
        ):
            with pytest.raises(TargetInconsistent):
                await target.commit(stage)
            with pytest.raises(TargetInconsistent):
                await target.replace(stage)
        assert await target.find("run.bin", length=2 * PART) is None
        await target.abandon(whole)


async def test_evidence_of_parts_needs_a_refused_lie(place: S3Place) -> None:
    async with place.target() as target:
        whole = await written(target, "run.bin", data_of(PART + 1))
        assert await target.proof(whole) == place.traits.proof
        bare = replace(whole, parts=tuple(PartTag.read(part).etag for part in whole.parts))
        assert await target.proof(bare) is None
        assert await target.proof(replace(whole, offset=PART)) is None
        await target.abandon(whole)


async def test_parts_of_one_upload_are_all_sent_with_their_sha256_or_none(weed: S3Place) -> None:
    """SeaweedFS refuses to complete an upload of which only some parts have their SHA-256."""
    data = data_of(2 * PART)
    noted: list[Stage] = []

    async def ends(stage: Stage) -> None:
        noted.append(stage)
        raise KeyError("the worker ends here")

    async with weed.target() as target:
        for digests in (("sha-256", None), (None, "sha-256")):
            target.rely_on({**weed.facts, "digest": digests[0]})
            stage = await target.begin(stage_of("run.bin", len(data)))
            target.rely_on({**weed.facts, "digest": digests[1]})
            with pytest.raises(KeyError):
                await target.write(stage, SomeBlocks(data), leaving=untold, confirmed=ends)
            rest = SomeBlocks(data[PART:])
            whole = await target.write(noted[-1], rest, leaving=untold, confirmed=unnoted)
            sent = {PartTag.read(part).sha256 is not None for part in whole.parts}
            assert sent == {digests[0] is not None}
            await target.replace(whole)
            assert await read(target, "run.bin", data) == holding(data)


@pytest.mark.parametrize("part_bytes", [PART, 65 << 20])
async def test_lost_lease_ends_the_writing_and_keeps_what_was_confirmed(place: S3Place, part_bytes: int) -> None:
    data = data_of(2 * part_bytes)
    noted: list[Stage] = []
    allowed = part_bytes + (5 << 20)
    left = 0

    async def confirmed(stage: Stage) -> None:
        noted.append(stage)

    def leaving(count: int) -> None:
        nonlocal left
        if noted and left + count > allowed:
            raise LeaseLost
        left += count

    async with place.target() as target:
        stage = stage_of("run.bin", len(data))
        upload_id = await target._bucket.create("run.bin", stage=stage.name, sha256=False)
        begun = replace(stage, upload_id=upload_id, part_bytes=part_bytes)
        target.rely_on({**place.facts, "digest": None})
        with pytest.raises(LeaseLost):
            await target.write(begun, SlowEnd(data, noted), leaving=leaving, confirmed=confirmed)
        assert [one.offset for one in noted] == [part_bytes]
        assert await target.resume(noted[-1]) == noted[-1]
        await target.abandon(begun)


class SlowEnd(SomeBlocks):
    """Blocks of which the second half comes once the first is confirmed."""

    def __init__(self, data: bytes, noted: list[Stage]) -> None:
        super().__init__(data)
        self._noted = noted

    def __iter__(self) -> Iterator[bytes]:
        for number, block in enumerate(super().__iter__()):
            deadline = time.monotonic() + 30
            while number == len(self._data) >> 21 and not self._noted:
                assert time.monotonic() < deadline, "the first part is not confirmed"
                time.sleep(0.01)
            yield block


async def test_cancelled_writing_ends_at_once_and_can_go_on(place: S3Place) -> None:
    data = data_of(2 * PART)
    async with place.target() as target:
        stage = await target.begin(stage_of("run.bin", len(data)))
        blocks = StalledBlocks(data[: PART + 1])
        writing = asyncio.create_task(target.write(stage, blocks, leaving=untold, confirmed=unnoted))
        await asyncio.to_thread(blocks.begun.wait)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert blocks.stopped.is_set()
        assert await target.resume(stage) is None  # no part is whole
        whole = await target.write(stage, SomeBlocks(data), leaving=untold, confirmed=unnoted)
        await target.commit(whole)
        assert await read(target, "run.bin", data) == holding(data)
        await target.remove("run.bin")
