"""The suite of `Staging`: one for every kind of target and every server, all of them real."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest

from gridhaul.transfer.errors import NotAnObject, NotFound, ObjectExists, TargetLocked, TargetRefused, TargetUnavailable
from gridhaul.transfer.model import Evidence, Stage
from gridhaul.transfer.ports.targets import Tagging
from tests.contracts.ports import eventually
from tests.contracts.targets_table import TABLE, row_of
from tests.targets.blocks import MIB, SomeBlocks, StalledBlocks, untold
from tests.targets.deliveries import PART as TEMPORARY
from tests.targets.deliveries import StagingTarget, continued, deliver, holding, new_stage, read, stage_of, written
from tests.targets.outside import Outside
from tests.targets.place import Place
from tests.targets.servers import S3, STAGED, Places

PART = 16 * MIB
DATA = os.urandom(2 * PART + 5 * MIB + 3)


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A place, and a target that writes there."""

    place: Place
    target: StagingTarget

    @property
    def outside(self) -> Outside:
        return self.place.outside

    async def deliver(self, data: bytes, *, name: str = "run.bin") -> None:
        await deliver(self.target, name, data)

    async def written(self, data: bytes, *, name: str = "run.bin") -> Stage:
        """Return a whole stage with the data."""
        return await continued(self.target, await self.target.begin(new_stage(name, len(data))), data)

    async def holds(self, data: bytes, *, name: str = "run.bin") -> bool:
        """Return whether the object has the data, read back whole."""
        return await read(self.target, name, data) == holding(data)

    async def abandoned(self, stage: Stage) -> None:
        """Abandon a stage whose writing broke off, until the server has noticed that and nothing more arrives."""

        async def is_abandoned() -> bool:
            with suppress(TargetLocked):
                await self.target.abandon(stage)
            return stage.name not in self.outside.names()

        await eventually(is_abandoned)


class BlocksBroke(Exception):
    """An error that no target knows."""


@pytest.fixture(params=STAGED)
async def peer(request: pytest.FixtureRequest, running: Places) -> AsyncIterator[Peer]:
    place = running[request.param].inner()
    async with place.target() as target:
        yield Peer(place=place, target=target)


@pytest.mark.parametrize(
    "length", [0, 1, PART - 1, PART, PART + 1, 2 * PART], ids=["empty", "1 byte", "<", "a part", ">", "2 parts"]
)
async def test_object_has_its_final_name_after_the_commit_and_not_before(peer: Peer, length: int) -> None:
    data = DATA[:length]
    stage = await peer.written(data)
    assert stage.is_whole
    assert peer.outside.names() == (set() if stage.upload_id else {stage.name})
    assert await peer.target.find("run.bin", length=length) is None
    await peer.target.commit(stage)
    assert peer.outside.read("run.bin") == data
    assert peer.outside.names() == {"run.bin"}
    assert await peer.target.find(stage.name, length=length) is None


async def test_stage_of_another_folder_is_committed(peer: Peer) -> None:
    stage = await written(peer.target, "other/deep/run.bin", b"data", name=TEMPORARY)
    await peer.target.commit(stage)
    assert peer.outside.read("other/deep/run.bin") == b"data"
    assert peer.outside.names() == {"other/deep/run.bin"}


async def test_commit_to_a_taken_name_leaves_what_is_there(peer: Peer) -> None:
    await peer.deliver(b"theirs")
    stage = await peer.written(b"ours")
    with pytest.raises(ObjectExists):
        await peer.target.commit(stage)
    assert peer.outside.read("run.bin") == b"theirs"
    if stage.upload_id is None:
        assert peer.outside.read(stage.name) == b"ours"
    await peer.target.abandon(stage)
    assert peer.outside.names() == {"run.bin"}
    assert peer.outside.read("run.bin") == b"theirs"


@pytest.mark.parametrize("there", [b"theirs, which is longer", None], ids=["over an object", "to a free name"])
async def test_replace_takes_the_place_of_what_is_there(peer: Peer, there: bytes | None) -> None:
    if there is not None:
        await peer.deliver(there)
    await peer.target.replace(await peer.written(b"ours"))
    assert peer.outside.read("run.bin") == b"ours"
    assert peer.outside.names() == {"run.bin"}


async def test_name_is_taken_by_others(peer: Peer) -> None:
    """An object that nobody delivered is as good as any other."""
    peer.outside.write("run.bin", b"theirs")
    await eventually(lambda: peer.target.find("run.bin", length=6))  # some servers see it later
    stage = await peer.written(b"ours")
    with pytest.raises(ObjectExists):
        await peer.target.commit(stage)
    assert peer.outside.read("run.bin") == b"theirs"
    await peer.target.replace(stage)
    assert peer.outside.read("run.bin") == b"ours"


async def test_without_the_stage_nothing_happens(peer: Peer) -> None:
    await peer.deliver(b"theirs")
    for call in (
        peer.target.commit(stage_of("free.bin", 4)),
        peer.target.commit(stage_of("nowhere/free.bin", 4)),
        peer.target.replace(stage_of("run.bin", 4)),
        peer.target.replace(stage_of("nowhere/free.bin", 4)),
    ):
        with pytest.raises(NotFound):
            await call
    await peer.target.abandon(stage_of("nowhere/free.bin", 4))
    assert peer.outside.read("run.bin") == b"theirs"
    assert peer.outside.names() == {"run.bin"}


async def test_folder_under_the_name_is_left_alone(peer: Peer) -> None:
    await peer.deliver(b"theirs", name="2026/run.bin")
    if peer.place.traits.takes_above_object:
        await peer.deliver(b"ours", name="2026")
        assert peer.outside.names() == {"2026", "2026/run.bin"}
        return
    ours = await peer.written(b"ours", name="2026")
    with pytest.raises(ObjectExists):
        await peer.target.commit(ours)
    for call in (peer.target.replace(ours), peer.target.find("2026", length=4)):
        with pytest.raises(NotAnObject):
            await call
    with suppress(NotAnObject):  # or there is no such object
        await peer.target.remove("2026")
    assert peer.outside.read("2026/run.bin") == b"theirs"


async def test_object_where_a_folder_is_needed_is_left_alone(peer: Peer) -> None:
    await peer.deliver(b"theirs", name="a/b")
    if peer.place.traits.takes_below_object:
        await peer.deliver(b"ours", name="a/b/c/run.bin")
        assert peer.outside.names() == {"a/b", "a/b/c/run.bin"}
        return
    with pytest.raises(TargetRefused):
        await peer.deliver(b"ours", name="a/b/c/run.bin")
    assert peer.outside.read("a/b") == b"theirs"


async def test_folder_that_was_removed_meanwhile_is_made_again(peer: Peer) -> None:
    await peer.deliver(b"data", name="2026/run.bin")
    peer.outside.remove("2026/run.bin")

    async def is_delivered() -> bool:
        with suppress(ObjectExists, TargetUnavailable):  # a server may see it later, and a target at a later attempt
            await peer.deliver(b"again", name="2026/run.bin")
        return peer.outside.read("2026/run.bin") == b"again"

    await eventually(is_delivered)


async def test_writing_that_breaks_off_does_not_touch_the_final_name(peer: Peer) -> None:
    await peer.deliver(b"theirs")
    begun = await peer.target.begin(new_stage("run.bin", 9 * MIB))
    with pytest.raises(BlocksBroke):
        await continued(peer.target, begun, b"", blocks=SomeBlocks(DATA[: 5 * MIB], failure=BlocksBroke()))
    assert peer.outside.read("run.bin") == b"theirs"
    await peer.abandoned(begun)
    assert peer.outside.read("run.bin") == b"theirs"


async def test_several_stages_are_written_at_once(peer: Peer) -> None:
    data = {f"folder{number}/{number}.bin": DATA[number : 2 * MIB] for number in range(6)}
    await asyncio.gather(*(peer.deliver(some, name=name) for name, some in data.items()))
    assert {name: peer.outside.read(name) for name in peer.outside.names()} == data


async def test_abandoned_stage_is_gone_and_cannot_be_committed(peer: Peer) -> None:
    stage = await peer.written(DATA)
    for _ in range(2):
        await peer.target.abandon(stage)
    assert await peer.target.resume(stage) is None
    with pytest.raises(peer.place.traits.gone):
        await peer.target.commit(stage)
    assert await peer.target.find("run.bin", length=len(DATA)) is None
    assert peer.outside.names() == set()


async def test_whole_stage_is_checked_and_committed_by_another_process(peer: Peer) -> None:
    """Only a server that cannot name what it holds of a stage lets it be begun anew."""
    stage = await peer.written(DATA)
    async with peer.place.target() as other:
        found = await other.resume(stage)
        if found is None:
            assert not other.abilities.resumable
            return
        assert found.is_whole
        await other.commit(found)
    assert await peer.holds(DATA)


async def test_another_process_goes_on_where_a_broken_attempt_ended(peer: Peer) -> None:
    """Where the target was seen to go on with a stage, it sends no confirmed byte again; elsewhere it begins anew."""
    data = (
        DATA * 3 if peer.place.kind in S3 else DATA
    )  # up to four parts are sent at once, and none of them is confirmed
    begun = last = await peer.target.begin(new_stage("run.bin", len(data)))

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
    async with peer.place.target() as other:
        found = await other.resume(last)
        if not other.abilities.resumable:
            assert found is None
            return
        assert found is not None
        assert found.offset >= PART
        if found.part_bytes is None:
            found = replace(found, offset=found.offset // MIB * MIB)
        await other.commit(await continued(other, found, data))
    assert await peer.holds(data)


async def test_two_workers_that_write_one_stage_put_the_same_bytes_there(peer: Peer) -> None:
    """One stands still in the middle; the other goes on and is done; then the first one wakes."""
    if not peer.target.abilities.resumable:
        pytest.skip("this target begins a new stage for each attempt")
    begun = await peer.target.begin(new_stage("run.bin", len(DATA)))
    sleeping = StalledBlocks(DATA[: PART + MIB])
    first = asyncio.create_task(continued(peer.target, begun, DATA, blocks=sleeping))
    await asyncio.to_thread(sleeping.begun.wait, 30)
    async with peer.place.target() as other:
        whole = await continued(other, begun, DATA)
        sleeping.stop()
        with suppress(Exception):
            await first
        await other.commit(whole)
    assert await peer.holds(DATA)


async def test_cancelled_write_ends_and_its_stage_can_be_removed(peer: Peer) -> None:
    begun = await peer.target.begin(new_stage("run.bin", len(DATA)))
    blocks = StalledBlocks(DATA[:MIB])
    writing = asyncio.create_task(continued(peer.target, begun, DATA, blocks=blocks))
    await asyncio.to_thread(blocks.begun.wait, 30)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await peer.abandoned(begun)
    assert await peer.target.find("run.bin", length=len(DATA)) is None


async def test_server_proves_parts_only_if_it_refuses_wrong_ones(peer: Peer) -> None:
    assert await peer.target.proof(await peer.written(DATA)) is peer.place.traits.proof


async def test_object_of_an_upload_carries_the_mark_of_its_stage(peer: Peer) -> None:
    stage = await peer.written(b"data")
    if stage.upload_id is None:
        pytest.skip("the stage has a name of its own")
    await peer.target.commit(stage)
    assert isinstance(peer.target, Tagging)
    assert await peer.target.tag("run.bin") == stage.name


async def test_of_many_commits_to_one_name_one_wins(peer: Peer) -> None:
    if not peer.place.traits.one_wins:
        pytest.skip("the server looks and renames in two steps; the claim on the name keeps deliveries apart")
    for name in ("first.bin", "second.bin", "third.bin"):  # the first commits open connections, so only later ones meet
        stages = [await peer.written(str(number).encode(), name=name) for number in range(8)]
        outcomes = await asyncio.gather(*map(peer.target.commit, stages), return_exceptions=True)
        (winner,) = [number for number, outcome in enumerate(outcomes) if outcome is None]
        assert sum(isinstance(outcome, ObjectExists) for outcome in outcomes) == len(stages) - 1, outcomes
        assert peer.outside.read(name) == str(winner).encode()


async def test_documentation_tells_what_was_seen(peer: Peer) -> None:
    """The table in docs/targets.md has this row; a failure shows the row as it has to be."""
    assert row_of(peer.place.kind, peer.target.abilities, await checked_by(peer)) in TABLE.read_text().splitlines()


async def checked_by(peer: Peer) -> str:
    if await peer.target.proof(stage := await peer.written(DATA)) is Evidence.PART_DIGESTS:
        return "SHA-256 of each part, before the commit"
    if stage.upload_id is not None:
        return "read back, after the commit"
    found = await peer.target.find(stage.name, length=len(DATA))
    told = found is not None and found.evidence is Evidence.REMOTE_DIGEST
    return "the server's SHA-256, before the commit" if told else "read back, before the commit"
