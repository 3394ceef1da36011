"""Stages of the SFTP target that a later attempt goes on with, and writers that stood still meanwhile."""

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from gridhaul.targets.sftp.target import SftpTarget
from gridhaul.targets.sftp.writing import CONFIRMED_BYTES, UNCONFIRMED_MOST_BYTES
from gridhaul.transfer.errors import NotFound, TargetUnavailable
from gridhaul.transfer.model import Stage
from tests.servers.cutting import cutting
from tests.servers.sshd import Keys
from tests.targets.blocks import MIB, SomeBlocks, untold
from tests.targets.deliveries import PART, deliver, stage_of, unnoted, written
from tests.targets.places import SftpPlace
from tests.targets.sftp.odd_servers import SlowToFlush, odd_server, requests_at_once
from tests.targets.sftp.targets import SEVERAL_MIB, Targets

LARGE = os.urandom(40 * MIB + 5)
OVERHEAD_BYTES = 2 * MIB  # of SSH, for all of LARGE


class PausedBlocks(SomeBlocks):
    """Blocks of which the thread gets some only when it may go on."""

    def __init__(self, data: bytes, *, pause_after: int) -> None:
        super().__init__(data)
        self._pause_after = pause_after
        self.paused, self.may_go_on = Event(), Event()

    def __iter__(self) -> Iterator[bytes]:
        for number, block in enumerate(super().__iter__()):
            if number == self._pause_after:
                self.paused.set()
                assert self.may_go_on.wait(60)
            yield block


class Record:
    """The stage as a delivery's record holds it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.offsets = list[int]()

    async def note(self, stage: Stage) -> None:
        self.stage = stage
        self.offsets.append(stage.offset)


async def write_rest(target: SftpTarget, stage: Stage, data: bytes) -> int:
    """Write what is missing, commit, and return how many bytes left."""
    left = list[int]()
    blocks = SomeBlocks(data[stage.offset :])
    await target.commit(await target.write(stage, blocks, leaving=left.append, confirmed=unnoted))
    return sum(left)


@pytest.mark.parametrize("cut", [0, 1, 3 * MIB, 23 * MIB + 77, 39 * MIB])
async def test_another_process_goes_on_after_a_cut(sshd_place: SftpPlace, targets: Targets, cut: int) -> None:
    server = sshd_place.server
    with cutting((server.host, server.port)) as relay:
        target = await targets.probed(sshd_place, port=relay.port)
        await target.find("nothing", length=0)  # the connection is made before the cut is planned
        record = Record(await target.begin(stage_of("run.bin", len(LARGE))))
        before = relay.sent_bytes
        relay.cuts = [before + cut]
        with pytest.raises(TargetUnavailable):
            await target.write(record.stage, SomeBlocks(LARGE), leaving=untold, confirmed=record.note)
        lost = cut - record.stage.offset
        assert lost <= UNCONFIRMED_MOST_BYTES + OVERHEAD_BYTES
        other = await targets.probed(sshd_place, port=relay.port)
        resumed = await other.resume(record.stage)
        if resumed is None:
            assert cut <= MIB
            resumed = record.stage
        assert resumed.offset == record.stage.offset
        assert await write_rest(other, resumed, LARGE) == len(LARGE) - resumed.offset
        assert relay.sent_bytes - before <= len(LARGE) + lost + OVERHEAD_BYTES
    assert (sshd_place.directory / "run.bin").read_bytes() == LARGE


async def test_delivery_arrives_over_a_line_that_is_cut_again_and_again(
    sshd_place: SftpPlace, targets: Targets
) -> None:
    server, left = sshd_place.server, list[int]()
    with cutting((server.host, server.port)) as relay:
        target = await targets.probed(sshd_place, port=relay.port)
        record = Record(stage_of("run.bin", len(LARGE)))
        relay.cuts = [relay.sent_bytes + (number + 1) * 19 * MIB + random.randrange(MIB) for number in range(6)]
        whole: Stage | None = None
        while whole is None:
            with suppress(TargetUnavailable):
                resumed = await target.resume(record.stage) or record.stage
                blocks = SomeBlocks(LARGE[resumed.offset :])
                whole = await target.write(resumed, blocks, leaving=left.append, confirmed=record.note)
        await target.commit(whole)
    assert 2 <= relay.made <= 6
    assert (sshd_place.directory / "run.bin").read_bytes() == LARGE
    assert sum(left) <= len(LARGE) + relay.made * UNCONFIRMED_MOST_BYTES


async def test_stage_is_confirmed_from_time_to_time(place: SftpPlace, targets: Targets) -> None:
    target = await targets.probed(place)
    record = Record(stage_of("run.bin", len(LARGE)))
    whole = await target.write(record.stage, SomeBlocks(LARGE), leaving=untold, confirmed=record.note)
    assert whole == replace(record.stage, offset=len(LARGE))
    steps = [later - earlier for earlier, later in zip([0, *record.offsets], record.offsets, strict=False)]
    assert steps
    assert min(steps) >= CONFIRMED_BYTES


async def test_no_more_bytes_leave_than_a_later_attempt_may_send_again(
    tmp_path: Path, targets: Targets, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    unconfirmed_bytes = list[int]()
    left = 0

    def leaving(length: int) -> None:
        nonlocal left
        left += length
        unconfirmed_bytes.append(left - record.stage.offset)

    with requests_at_once(monkeypatch):
        async with odd_server(tmp_path, keys, SlowToFlush) as place:
            target = await targets.probed(place)
            data = bytes(80 * MIB)
            record = Record(stage_of("run.bin", len(data)))
            await target.write(record.stage, SomeBlocks(data), leaving=leaving, confirmed=record.note)
            await target.close()
    assert left == len(data)
    assert len(record.offsets) >= 2
    assert CONFIRMED_BYTES < max(unconfirmed_bytes) <= UNCONFIRMED_MOST_BYTES


async def test_error_of_the_record_passes_through(place: SftpPlace, targets: Targets) -> None:
    async def refused(_: Stage) -> None:
        raise ConnectionError("of the database")

    target = await targets.probed(place)
    with pytest.raises(ConnectionError, match="of the database"):
        await target.write(stage_of("run.bin", len(LARGE)), SomeBlocks(LARGE), leaving=untold, confirmed=refused)


async def test_whole_stage_is_committed_by_another_process(place: SftpPlace, targets: Targets) -> None:
    whole = await written(await targets.probed(place), "run.bin", SEVERAL_MIB)
    other = await targets.probed(place)
    resumed = await other.resume(replace(whole, committing=True))
    assert resumed == replace(whole, committing=True)
    await other.commit(resumed)
    assert (place.directory / "run.bin").read_bytes() == SEVERAL_MIB


@pytest.mark.parametrize("data", [b"", b"x", SEVERAL_MIB], ids=["empty", "1 byte", "5 MiB"])
async def test_whole_stage_of_an_earlier_attempt_is_finished(place: SftpPlace, targets: Targets, data: bytes) -> None:
    whole = await written(await targets.probed(place), "run.bin", data)
    other = await targets.probed(place)
    resumed = await other.resume(whole)
    assert resumed is not None
    finished = await other.write(resumed, SomeBlocks(b""), leaving=untold, confirmed=unnoted)
    assert finished == whole
    await other.commit(finished)
    assert (place.directory / "run.bin").read_bytes() == data


async def test_half_a_stage_goes_on_only_where_the_server_can_write_inside(place: SftpPlace, targets: Targets) -> None:
    target = await targets.probed(place)
    half = replace(await written(target, "run.bin", SEVERAL_MIB[: 2 * MIB]), length=len(SEVERAL_MIB), offset=MIB)
    assert await target.resume(half) == (half if target.abilities.resumable else None)


async def test_server_that_holds_less_than_was_confirmed_is_believed(sshd_place: SftpPlace, targets: Targets) -> None:
    target = await targets.probed(sshd_place)
    lost = replace(await written(target, "run.bin", SEVERAL_MIB[: 2 * MIB]), length=len(SEVERAL_MIB), offset=3 * MIB)
    resumed = await target.resume(lost)
    assert resumed == replace(lost, offset=2 * MIB)
    await write_rest(target, resumed, SEVERAL_MIB)
    assert (sshd_place.directory / "run.bin").read_bytes() == SEVERAL_MIB


async def test_bytes_that_were_not_confirmed_are_written_again(sshd_place: SftpPlace, targets: Targets) -> None:
    target = await targets.probed(sshd_place)
    begun = stage_of("run.bin", len(SEVERAL_MIB))
    torn = bytearray(SEVERAL_MIB[: 4 * MIB])
    torn[2 * MIB : 3 * MIB] = bytes(MIB)  # a hole, as requests leave it that had no answer yet
    (sshd_place.directory / PART).write_bytes(torn)
    resumed = await target.resume(replace(begun, offset=MIB))
    assert resumed == replace(begun, offset=MIB)
    await write_rest(target, resumed, SEVERAL_MIB)
    assert (sshd_place.directory / "run.bin").read_bytes() == SEVERAL_MIB


async def test_stage_that_is_gone_cannot_go_on(place: SftpPlace, targets: Targets) -> None:
    target = await targets.probed(place)
    begun = replace(stage_of("run.bin", len(SEVERAL_MIB)), offset=MIB)
    assert await target.resume(begun) is None
    with pytest.raises(NotFound):
        await target.write(begun, SomeBlocks(SEVERAL_MIB[MIB:]), leaving=untold, confirmed=unnoted)
    assert not (place.directory / PART).exists()


async def test_file_that_is_longer_than_the_object_cannot_go_on(place: SftpPlace, targets: Targets) -> None:
    target = await targets.probed(place)
    longer = await written(target, "run.bin", SEVERAL_MIB)
    assert await target.resume(replace(longer, length=MIB, offset=MIB)) is None


@pytest.mark.parametrize("commits_first", [True, False])
async def test_writer_that_stood_still_changes_nothing(
    sshd_place: SftpPlace, targets: Targets, commits_first: bool
) -> None:
    first, second = [await targets.probed(sshd_place) for _ in range(2)]
    begun, blocks = stage_of("run.bin", len(LARGE)), PausedBlocks(LARGE, pause_after=7)
    late = asyncio.create_task(first.write(begun, blocks, leaving=untold, confirmed=unnoted))
    assert await asyncio.to_thread(blocks.paused.wait, 10)
    resumed = await second.resume(begun)
    assert resumed == begun
    whole = await second.write(resumed, SomeBlocks(LARGE), leaving=untold, confirmed=unnoted)
    if commits_first:
        await second.commit(whole)
    blocks.may_go_on.set()
    if commits_first:
        with pytest.raises(NotFound):
            await late
    else:
        await late
        await second.commit(whole)
    assert (sshd_place.directory / "run.bin").read_bytes() == LARGE
    assert [path.name for path in sshd_place.directory.iterdir()] == ["run.bin"]


async def test_link_whose_old_name_was_not_removed_is_found_and_abandoned(
    sshd_place: SftpPlace, targets: Targets
) -> None:
    target = await targets.probed(sshd_place)
    whole = await written(target, "run.bin", SEVERAL_MIB)
    (sshd_place.directory / "run.bin").hardlink_to(sshd_place.directory / PART)
    assert await target.resume(replace(whole, committing=True)) == replace(whole, committing=True)
    found = await target.find("run.bin", length=len(SEVERAL_MIB))
    assert found is not None
    await target.abandon(whole)
    assert (sshd_place.directory / "run.bin").read_bytes() == SEVERAL_MIB
    await deliver(target, "next.bin", b"data")
