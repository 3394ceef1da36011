"""The suite of `Staging`: one for every kind of target and every server, all of them real."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest

from gridhaul.targets.webdav.target import WebDavTarget
from gridhaul.transfer.errors import NotFound, ObjectExists, TargetLocked, TargetUnavailable
from gridhaul.transfer.inspection import not_shown
from gridhaul.transfer.model import Evidence, Stage
from gridhaul.transfer.ports.targets import Blocks, Tagging
from tests.contracts.ports import eventually
from tests.contracts.stage_places import KINDS, S3, NewTarget, StagePlaces, StagingTarget, stage_places
from tests.contracts.targets_table import TABLE, row_of
from tests.targets.peers import MIB, SomeBlocks, StalledBlocks, untold

PART = 16 * MIB
DATA = os.urandom(2 * PART + 5 * MIB + 3)
DELIVERY = "0123456789abcdef01234567"


@dataclass(frozen=True, kw_only=True)
class Peer:
    kind: str
    target: StagingTarget
    new: NewTarget

    async def written(self, data: bytes, *, final_name: str = "run.bin", generation: int = 7) -> Stage:
        """Return a whole stage with the data."""
        stage = await self.target.begin(stage_of(len(data), final_name=final_name, generation=generation))
        return await write(self.target, stage, data)

    async def deliver(self, data: bytes, *, final_name: str = "run.bin", generation: int = 1) -> None:
        await self.target.replace(await self.written(data, final_name=final_name, generation=generation))

    async def holds(self, data: bytes, *, name: str = "run.bin") -> bool:
        """Return whether the object has the data, read back whole."""
        found = await self.target.read_back(name, length=len(data), sha256=sha256_of(data), checked=not_shown)
        return found is not None and (found.length, found.sha256) == (len(data), sha256_of(data))


def stage_of(length: int, *, final_name: str = "run.bin", generation: int = 7) -> Stage:
    folder, slash, _ = final_name.rpartition("/")
    name = f"{folder}{slash}.gridhaul-{DELIVERY}-{generation}.part"
    return Stage(name=name, final_name=final_name, generation=generation, length=length)


async def write(target: StagingTarget, stage: Stage, data: bytes, *, blocks: Blocks | None = None) -> Stage:
    rest = blocks or SomeBlocks(data[stage.offset :])
    return await target.write(stage, rest, leaving=untold, confirmed=unnoted)


async def unnoted(_: Stage) -> None:
    """Note nothing."""


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StagePlaces]:
    with stage_places(tmp_path_factory.mktemp("places")) as found:
        yield found


@pytest.fixture(params=KINDS)
async def peer(request: pytest.FixtureRequest, running: StagePlaces) -> AsyncIterator[Peer]:
    new = running.new(request.param)
    async with new() as target:
        yield Peer(kind=request.param, target=target, new=new)


@pytest.mark.parametrize(
    "length", [0, 1, PART - 1, PART, PART + 1, 2 * PART], ids=["empty", "1 byte", "<", "a part", ">", "2 parts"]
)
async def test_what_was_written_has_its_final_name_after_the_commit_and_not_before(peer: Peer, length: int) -> None:
    data = DATA[:length]
    stage = await peer.written(data)
    assert stage.is_whole
    assert await peer.target.find("run.bin", length=length) is None
    await peer.target.commit(stage)
    assert await peer.holds(data)
    assert await peer.target.find(stage.name, length=length) is None


@pytest.mark.parametrize("name", ["2026/deep/run.bin", "a b+c.bin", "größe.bin", "100%.bin", "😀.bin", "dot."])
async def test_names_arrive_as_they_are(peer: Peer, name: str) -> None:
    await peer.deliver(b"data", final_name=name)
    assert await peer.holds(b"data", name=name)


async def test_commit_to_a_taken_name_leaves_what_is_there(peer: Peer) -> None:
    await peer.deliver(b"theirs")
    stage = await peer.written(b"ours")
    with pytest.raises(ObjectExists):
        await peer.target.commit(stage)
    assert await peer.holds(b"theirs")
    await peer.target.abandon(stage)
    assert await peer.holds(b"theirs")


async def test_replace_takes_the_place_of_what_is_there(peer: Peer) -> None:
    await peer.deliver(b"what was there, which is longer")
    await peer.target.replace(await peer.written(b"new"))
    assert await peer.holds(b"new")


async def test_abandoned_stage_is_gone_and_cannot_be_committed(peer: Peer) -> None:
    stage = await peer.written(DATA)
    for _ in range(2):
        await peer.target.abandon(stage)
    assert await peer.target.resume(stage) is None
    with pytest.raises((NotFound, TargetUnavailable) if peer.kind == "moto" else NotFound):  # moto answers 500
        await peer.target.commit(stage)
    assert await peer.target.find("run.bin", length=len(DATA)) is None


async def test_whole_stage_is_checked_and_committed_by_another_process(peer: Peer) -> None:
    """Only a server that cannot name what it holds of a stage lets it be begun anew."""
    stage = await peer.written(DATA)
    async with peer.new() as other:
        found = await other.resume(stage)
        if found is None:
            assert not other.abilities.resumable
            return
        assert found.is_whole
        await other.commit(found)
    assert await peer.holds(DATA)


async def test_another_process_goes_on_where_a_broken_attempt_ended(peer: Peer) -> None:
    """Where the target was seen to go on with a stage, it sends no confirmed byte again; elsewhere it begins anew."""
    data = DATA * 3 if peer.kind in S3 else DATA  # up to four parts are sent at once, and none of them is confirmed
    begun = last = await peer.target.begin(stage_of(len(data)))

    async def confirmed(stage: Stage) -> None:
        nonlocal last
        last = stage

    async def has_confirmed() -> bool:
        return last.offset >= PART or last.part_bytes is None

    blocks = StalledBlocks(data[: len(data) - MIB])
    writing = asyncio.create_task(peer.target.write(begun, blocks, leaving=untold, confirmed=confirmed))
    await asyncio.to_thread(blocks.begun.wait, 30)
    await eventually(has_confirmed)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    async with peer.new() as other:
        found = await other.resume(last)
        if not other.abilities.resumable:
            assert found is None
            return
        assert found is not None
        assert found.offset >= PART
        if found.part_bytes is None:
            found = replace(found, offset=found.offset // MIB * MIB)
        await other.commit(await write(other, found, data))
    assert await peer.holds(data)


async def test_two_workers_that_write_one_stage_put_the_same_bytes_there(peer: Peer) -> None:
    """One stands still in the middle; the other goes on and is done; then the first one wakes."""
    if not peer.target.abilities.resumable:
        pytest.skip("this target begins a new stage for each attempt")
    begun = await peer.target.begin(stage_of(len(DATA)))
    sleeping = StalledBlocks(DATA[: PART + MIB])
    first = asyncio.create_task(write(peer.target, begun, DATA, blocks=sleeping))
    await asyncio.to_thread(sleeping.begun.wait, 30)
    async with peer.new() as other:
        whole = await write(other, begun, DATA)
        sleeping.stop()
        with suppress(Exception):
            await first
        await other.commit(whole)
    assert await peer.holds(DATA)


async def test_cancelled_write_ends_and_its_stage_can_be_removed(peer: Peer) -> None:
    begun = await peer.target.begin(stage_of(len(DATA)))
    blocks = StalledBlocks(DATA[:MIB])
    writing = asyncio.create_task(write(peer.target, begun, DATA, blocks=blocks))
    await asyncio.to_thread(blocks.begun.wait, 30)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    async def is_removed() -> bool:
        try:
            await peer.target.abandon(begun)
        except TargetLocked:  # the server has not yet noticed that the request broke off
            return False
        return True

    await eventually(is_removed)
    assert await peer.target.find("run.bin", length=len(DATA)) is None


async def test_fewer_bytes_than_the_stage_has_are_no_whole_stage(peer: Peer) -> None:
    begun = await peer.target.begin(stage_of(4))
    with pytest.raises(TargetUnavailable):
        await write(peer.target, begun, b"123", blocks=SomeBlocks(b"123"))


async def test_digests_of_parts_count_only_at_a_server_that_refuses_wrong_ones(peer: Peer) -> None:
    proof = await peer.target.proof(await peer.written(DATA))
    assert proof is (Evidence.PART_DIGESTS if peer.kind == "seaweedfs" else None)


async def test_object_of_an_upload_carries_the_mark_of_its_stage(peer: Peer) -> None:
    stage = await peer.written(b"data")
    if stage.upload_id is None:
        pytest.skip("the stage has a name of its own")
    await peer.target.commit(stage)
    assert isinstance(peer.target, Tagging)
    assert await peer.target.tag("run.bin") == stage.name


async def test_of_many_commits_to_one_name_one_wins(peer: Peer) -> None:
    if isinstance(peer.target, WebDavTarget) or not peer.target.abilities.exclusive:
        pytest.skip("the server looks and renames in two steps; the claim on the name keeps deliveries apart")
    stages = [await peer.written(str(number).encode(), generation=number) for number in range(6)]
    outcomes = await asyncio.gather(*map(peer.target.commit, stages), return_exceptions=True)
    (winner,) = [number for number, outcome in enumerate(outcomes) if outcome is None]
    assert sum(isinstance(outcome, ObjectExists) for outcome in outcomes) == len(stages) - 1, outcomes
    assert await peer.holds(str(winner).encode())


async def test_documentation_tells_what_was_seen(peer: Peer) -> None:
    """The table in docs/targets.md has this row; a failure shows the row as it has to be."""
    assert row_of(peer.kind, peer.target.abilities, await checked_by(peer)) in TABLE.read_text().splitlines()


async def checked_by(peer: Peer) -> str:
    if await peer.target.proof(stage := await peer.written(DATA)) is Evidence.PART_DIGESTS:
        return "SHA-256 of each part, before the commit"
    if stage.upload_id is not None:
        return "read back, after the commit"
    found = await peer.target.find(stage.name, length=len(DATA))
    told = found is not None and found.evidence is Evidence.REMOTE_DIGEST
    return "the server's SHA-256, before the commit" if told else "read back, before the commit"
