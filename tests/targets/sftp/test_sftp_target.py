"""The SFTP target at OpenSSH's server and at rclone's."""

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gridhaul.targets.sftp.target import SftpTarget
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.attributes import has_mode, has_mtime
from gridhaul.transfer.errors import (
    LeaseLost,
    NotAnObject,
    NotFound,
    ObjectExists,
    TargetInconsistent,
    TargetRefused,
)
from gridhaul.transfer.inspection import inspect, not_shown
from gridhaul.transfer.model import Evidence, RemoteObject
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import KeepsAttributes, Listing, Probed, Staging, Tagging, TellsRoom
from tests.targets.peers import MIB, SCRATCH, SomeBlocks, StalledBlocks, may_write, untold
from tests.targets.sftp.places import PART, SEVERAL_MIB, Place, Targets, put, sha256_of, stage, stage_of, unconfirmed

NAMES = [
    *(
        "2026/deep/run.bin",
        "a b/c d.bin",
        "größe/数据.bin",
        "100%.bin",
        'it\'s "here".bin',
        "a\\b.bin",
        "-rf",
        "~",
        "*",
    ),
    *(
        "😀.bin",
        "#?%;+&",
        "50/" * 50 + "run.bin",
        "dot.",
        "space ",
        "$(id)`id`",
        "e\u0301.bin",
        "\u00e9.bin",
        "a" * 255,
    ),
]
SOURCE = Attributes(mtime_ns=1_600_000_000_123_456_789, mode=0o4640)


@pytest.fixture
async def target(place: Place, targets: Targets) -> SftpTarget:
    return await targets.probed(place.section())


class BlocksBroke(Exception):
    """An error that no target knows."""


def read_back_of(data: bytes) -> RemoteObject:
    return RemoteObject(length=len(data), sha256=sha256_of(data), evidence=Evidence.READ_BACK)


async def look(target: SftpTarget, name: str, data: bytes) -> RemoteObject | None:
    return await inspect(target, name, length=len(data), sha256=sha256_of(data), checked=not_shown)


def test_target_has_the_further_abilities_of_its_kind(target: SftpTarget) -> None:
    for ability in (Staging, KeepsAttributes, Listing, TellsRoom, Probed):
        assert isinstance(target, ability)
    assert not isinstance(target, Tagging)


async def test_abilities_are_those_that_the_probe_saw(place: Place, target: SftpTarget) -> None:
    openssh = Abilities(atomic=True, exclusive=True, durable=True, resumable=True, free_space=True)
    rclone = Abilities(atomic=True, free_space=True)
    assert target.abilities == (rclone if "rclone" in str(place.directory) else openssh)


async def test_probe_leaves_nothing_and_asks_before_it_writes(place: Place, targets: Targets) -> None:
    target = targets.unprobed(place.section())
    seen = list[list[Path]]()

    async def before_writing() -> None:
        seen.append(list(place.directory.iterdir()))

    await target.probe(SCRATCH, before_writing)
    assert seen == [[]]
    assert not list(place.directory.iterdir())


async def test_what_a_killed_probe_left_is_cleared(place: Place, targets: Targets) -> None:
    target = targets.unprobed(place.section())
    for letter in "ac":
        (place.directory / f"{SCRATCH}{letter}").write_bytes(b"left")
    (place.directory / "theirs").write_bytes(b"stays")
    await asyncio.sleep(0.1)  # rclone sees a change of its directory that late
    await target.clear(SCRATCH)
    assert [path.name for path in place.directory.iterdir()] == ["theirs"]


@pytest.mark.parametrize("facts", [{}, {"server": 5}, {"write_bytes": 0}])
async def test_facts_of_another_form_ask_for_a_probe(place: Place, targets: Targets, facts: dict[str, object]) -> None:
    target = targets.unprobed(place.section())
    seen = await target.probe(SCRATCH, may_write)
    assert target.rely_on(seen)
    abilities = target.abilities
    whole = await stage(target, b"data")
    assert not target.rely_on({**seen, **facts} if facts else {})
    assert target.abilities == abilities
    await target.commit(whole)  # a delivery that is under way goes on with the facts that it began with


@pytest.mark.parametrize("data", [b"", b"x", SEVERAL_MIB, 4 * SEVERAL_MIB], ids=["empty", "1 byte", "5 MiB", "20 MiB"])
async def test_what_was_delivered_is_read_back(place: Place, target: SftpTarget, data: bytes) -> None:
    await put(target, "2026/deep/run.bin", data)
    assert await look(target, "2026/deep/run.bin", data) == read_back_of(data)
    assert (place.directory / "2026/deep/run.bin").read_bytes() == data
    assert not (place.directory / f"2026/deep/{PART}").exists()


@pytest.mark.parametrize("name", NAMES)
async def test_name_is_kept_as_it_is(place: Place, target: SftpTarget, name: str) -> None:
    await put(target, name, b"data")
    assert await look(target, name, b"data") == read_back_of(b"data")
    assert (place.directory / name).read_bytes() == b"data"


@pytest.mark.parametrize("name", ["../out.bin", "a/../../out.bin", "a//b", "/out.bin", "a/./b"])
async def test_name_that_could_lead_out_is_refused(target: SftpTarget, name: str) -> None:
    for call in (target.find(name, length=4), put(target, name, b"data"), target.remove(name)):
        with pytest.raises(TargetRefused):
            await call


async def test_name_that_is_too_long_is_not_tried_for_ever(target: SftpTarget) -> None:
    if target.abilities.exclusive:  # OpenSSH's server tells the reason; rclone's has one code for all reasons
        with pytest.raises(TargetRefused, match="choose another name"):
            await put(target, "a" * 256, b"data")


async def test_absent_object_is_none(target: SftpTarget) -> None:
    for name in ("nothing", "no/such/folder/nothing"):
        assert await target.find(name, length=3) is None
        assert await target.read_back(name, length=3, sha256="", checked=not_shown) is None
        assert await target.attributes(name) is None


async def test_whole_stage_is_seen_only_under_its_own_name(place: Place, target: SftpTarget) -> None:
    await stage(target, SEVERAL_MIB)
    assert [path.name for path in place.directory.iterdir()] == [PART]
    assert await look(target, PART, SEVERAL_MIB) == read_back_of(SEVERAL_MIB)
    assert await target.proof(stage_of(SEVERAL_MIB)) is None


async def test_commit_onto_a_taken_name_leaves_what_is_there(place: Place, target: SftpTarget) -> None:
    await put(target, "run.bin", b"theirs")
    ours = await stage(target, b"ours")
    with pytest.raises(ObjectExists):
        await target.commit(ours)
    assert (place.directory / "run.bin").read_bytes() == b"theirs"
    assert (place.directory / PART).read_bytes() == b"ours"


@pytest.mark.parametrize("there", [b"theirs", None], ids=["over an object", "to a free name"])
async def test_replace(place: Place, target: SftpTarget, there: bytes | None) -> None:
    if there is not None:
        await put(target, "run.bin", there)
    await target.replace(await stage(target, b"ours"))
    assert (place.directory / "run.bin").read_bytes() == b"ours"
    assert not (place.directory / PART).exists()


async def test_without_the_stage_nothing_happens(place: Place, target: SftpTarget) -> None:
    await put(target, "run.bin", b"theirs")
    for name in ("free.bin", "nowhere/free.bin"):
        gone = stage_of(b"data", final_name=name)
        for call in (target.commit(gone), target.replace(gone)):
            with pytest.raises(NotFound):
                await call
    with pytest.raises(NotFound):
        await target.replace(stage_of(b"data"))
    assert (place.directory / "run.bin").read_bytes() == b"theirs"
    assert not (place.directory / "free.bin").exists()


async def test_commit_into_another_folder_makes_it(place: Place, target: SftpTarget) -> None:
    whole = await stage(target, b"data")
    await target.commit(replace(whole, final_name="other/deep/run.bin"))
    assert (place.directory / "other/deep/run.bin").read_bytes() == b"data"
    assert not (place.directory / PART).exists()


async def test_folder_under_the_name_is_left_alone(place: Place, target: SftpTarget) -> None:
    await put(target, "2026/run.bin", b"theirs")
    ours = stage_of(b"ours", final_name="2026")
    await target.write(ours, SomeBlocks(b"ours"), leaving=untold, confirmed=unconfirmed)
    with pytest.raises(ObjectExists):
        await target.commit(ours)
    for call in (target.replace(ours), target.remove("2026"), target.find("2026", length=1)):
        with pytest.raises(NotAnObject):
            await call
    assert (place.directory / "2026/run.bin").read_bytes() == b"theirs"


async def test_file_where_a_folder_is_needed_is_named(target: SftpTarget) -> None:
    await put(target, "a/b", b"data")
    with pytest.raises(TargetRefused, match="has a file under 'a/b', where a folder is needed"):
        await put(target, "a/b/c/1.bin", b"data")


async def test_folder_that_was_removed_meanwhile_is_made_again(place: Place, target: SftpTarget) -> None:
    await put(target, "2026/run.bin", b"data")
    (place.directory / "2026/run.bin").unlink()
    (place.directory / "2026").rmdir()
    await asyncio.sleep(0.1)  # rclone sees a change of its directory that late
    await put(target, "2026/run.bin", b"data")
    assert (place.directory / "2026/run.bin").read_bytes() == b"data"


async def test_remove_and_abandon_are_idempotent(place: Place, target: SftpTarget) -> None:
    await put(target, "folder/run.bin", b"data")
    begun = await stage(target, b"data", final_name="folder/other.bin")
    for _ in range(2):
        await target.remove("folder/run.bin")
        await target.abandon(begun)
        await target.remove("nowhere/run.bin")
    assert not list((place.directory / "folder").iterdir())


async def test_link_is_no_object(sshd_place: Place, targets: Targets) -> None:
    target = await targets.probed(sshd_place.section())
    (sshd_place.directory / "secret").write_bytes(b"data")
    (sshd_place.directory / "link").symlink_to("secret")
    for call in (
        target.find("link", length=4),
        target.read_back("link", length=4, sha256="", checked=not_shown),
        target.remove("link"),
        target.replace(await stage(target, b"ours", final_name="link")),
    ):
        with pytest.raises(NotAnObject):
            await call
    assert (sshd_place.directory / "secret").read_bytes() == b"data"


async def test_new_stage_is_not_written_through_a_link(sshd_place: Place, targets: Targets) -> None:
    target = await targets.probed(sshd_place.section())
    (sshd_place.directory / "secret").write_bytes(b"theirs")
    for there in ("secret", "nothing"):
        (sshd_place.directory / PART).symlink_to(there)
        with pytest.raises(NotAnObject):
            await stage(target, b"ours")
        (sshd_place.directory / PART).unlink()
    assert (sshd_place.directory / "secret").read_bytes() == b"theirs"
    assert not (sshd_place.directory / "nothing").exists()


@pytest.mark.parametrize("length", [0, 1, 20 * MIB + 15])
async def test_reading_back_tells_how_far_it_has_come(target: SftpTarget, length: int) -> None:
    told = list[int]()
    await put(target, "run.bin", bytes(length))
    found = await target.read_back("run.bin", length=length, sha256="", checked=told.append)
    assert found == read_back_of(bytes(length))
    assert told == sorted(set(told))
    assert told[-1] == length
    assert len(told) > 1 or length < MIB


async def test_longer_object_is_not_read_to_its_end(target: SftpTarget) -> None:
    await put(target, "run.bin", SEVERAL_MIB)
    found = await target.read_back("run.bin", length=MIB, sha256="", checked=not_shown)
    assert found is not None
    assert (found.length, found.sha256) == (MIB + 1, "")
    found = await look(target, "run.bin", SEVERAL_MIB[:-1])
    assert found == RemoteObject(length=len(SEVERAL_MIB), sha256="", evidence=Evidence.SIZE)


async def test_shorter_object_is_read_to_its_end(target: SftpTarget) -> None:
    await put(target, "run.bin", SEVERAL_MIB)
    found = await target.read_back("run.bin", length=9 * MIB, sha256="", checked=not_shown)
    assert found == read_back_of(SEVERAL_MIB)


async def test_reading_that_is_cancelled_ends(target: SftpTarget) -> None:
    await put(target, "run.bin", bytes(40 * MIB))
    told = list[int]()

    def cancel(checked_bytes: int) -> None:
        told.append(checked_bytes)
        reading.cancel()

    reading = asyncio.ensure_future(target.read_back("run.bin", length=40 * MIB, sha256="", checked=cancel))
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert told[-1] < 40 * MIB
    assert await look(target, "run.bin", bytes(40 * MIB)) == read_back_of(bytes(40 * MIB))


async def test_names_of_a_folder_are_told(place: Place, target: SftpTarget) -> None:
    assert [name async for name in target.names("no/such")] == []
    names = {"a b.bin", "größe#%41?.bin", PART, *(f"{number:03}.bin" for number in range(300))}
    folder = place.directory / "many"
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    await asyncio.sleep(0.1)  # rclone sees a change of its directory that late
    assert {name async for name in target.names("many")} == names
    assert "many" in [name async for name in target.names("")]


async def test_names_that_are_not_utf_8_are_left_out(sshd_place: Place, targets: Targets) -> None:
    target = await targets.probed(sshd_place.section())
    for name in (b"\xff.bin", b"gr\xf6sse", "größe".encode()):
        (sshd_place.directory / os.fsdecode(name)).touch()
    assert [name async for name in target.names("")] == ["größe"]


async def test_room_is_that_of_the_disk(place: Place, target: SftpTarget) -> None:
    free, space = await target.free_bytes(), os.statvfs(place.directory)
    assert free is not None  # others write to the disk meanwhile
    assert abs(free - space.f_bavail * space.f_frsize) < space.f_blocks * space.f_frsize / 10


@pytest.mark.parametrize("keep_mode", [False, True])
async def test_object_gets_the_attributes_of_its_source(place: Place, targets: Targets, keep_mode: bool) -> None:
    target = await targets.probed(place.section(keep_mode=keep_mode))
    await target.commit(await stage(target, SEVERAL_MIB, attributes=SOURCE))
    found = await target.attributes("run.bin")
    assert has_mtime(found, SOURCE)
    assert found is not None
    assert found.mtime_ns // 10**9 == (place.directory / "run.bin").stat().st_mtime_ns // 10**9
    assert not has_mode(found, SOURCE)  # setuid is never given
    if "sshd" in str(place.directory):
        assert ((place.directory / "run.bin").stat().st_mode & 0o7777 == 0o640) == keep_mode


@pytest.mark.parametrize("mtime_ns", [-5, 1 << 63])
async def test_time_that_sftp_cannot_tell_is_left_out(target: SftpTarget, mtime_ns: int) -> None:
    await target.commit(await stage(target, b"data", attributes=Attributes(mtime_ns=mtime_ns, mode=None)))
    found = await target.attributes("run.bin")
    assert found is not None
    assert abs(found.mtime_ns - time.time_ns()) < 60 * 10**9


async def test_location_names_the_object_and_no_credentials(place: Place, targets: Targets) -> None:
    target = await targets.probed(place.section())
    server = f"sftp://127.0.0.1:{place.server.port}"
    assert target.location("a b/run.bin") == f"{server}/~/{place.path}/a%20b/run.bin"
    assert targets.unprobed(place.section(path="/")).location("run.bin") == f"{server}/run.bin"
    assert targets.unprobed(place.section(path="/srv/x/")).location("run.bin") == f"{server}/srv/x/run.bin"


async def test_everything_that_leaves_is_told(target: SftpTarget) -> None:
    left = list[int]()
    whole = stage_of(SEVERAL_MIB)
    await target.write(whole, SomeBlocks(SEVERAL_MIB), leaving=left.append, confirmed=unconfirmed)
    assert left == [0, *[MIB] * 5, 3]


@pytest.mark.parametrize("told", [0, 1, 3])
@pytest.mark.parametrize("failure", [LeaseLost("x"), OSError(28, "of the caller"), BlocksBroke("x")])
async def test_nothing_leaves_that_must_not_and_the_error_passes_through(
    place: Place, target: SftpTarget, told: int, failure: Exception
) -> None:
    left = list[int]()

    def leaving(length: int) -> None:
        if len(left) == told:
            raise failure
        left.append(length)

    with pytest.raises(type(failure)) as caught:
        await target.write(stage_of(SEVERAL_MIB), SomeBlocks(SEVERAL_MIB), leaving=leaving, confirmed=unconfirmed)
    assert caught.value is failure
    await put(target, "after/usable.bin", b"usable")  # the server has handled all earlier requests
    path = place.directory / PART
    there = path.read_bytes() if path.exists() else b""
    assert len(there) <= sum(left)
    assert SEVERAL_MIB.startswith(there)


@pytest.mark.parametrize("failure", [BlocksBroke("x"), OSError(28, "of the caller"), ValueError("x")])
async def test_error_of_the_blocks_passes_through_unchanged(target: SftpTarget, failure: Exception) -> None:
    blocks = SomeBlocks(SEVERAL_MIB[: 3 * MIB], failure=failure)
    with pytest.raises(type(failure)) as caught:
        await target.write(stage_of(SEVERAL_MIB), blocks, leaving=untold, confirmed=unconfirmed)
    assert caught.value is failure
    await put(target, "after/usable.bin", b"usable")


async def test_fewer_blocks_than_promised_do_not_pass_for_a_stage(target: SftpTarget) -> None:
    with pytest.raises(TargetInconsistent):
        await target.write(stage_of(b"1234"), SomeBlocks(b"123"), leaving=untold, confirmed=unconfirmed)


@pytest.mark.alone
async def test_cancelled_write_ends_as_cancelled(target: SftpTarget) -> None:
    blocks = StalledBlocks(SEVERAL_MIB[:MIB])
    writing = asyncio.create_task(target.write(stage_of(SEVERAL_MIB), blocks, leaving=untold, confirmed=unconfirmed))
    assert await asyncio.to_thread(blocks.begun.wait, 10)
    cancelled_at = time.monotonic()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert blocks.stopped.is_set()
    assert time.monotonic() - cancelled_at < 1
    await put(target, "after/usable.bin", b"usable")


async def test_of_many_commits_to_one_name_one_wins(sshd_place: Place, targets: Targets) -> None:
    target = await targets.probed(sshd_place.section())
    stages = [replace(stage_of(b"0"), name=f"{number}.part") for number in range(8)]
    for number, begun in enumerate(stages):
        await target.write(begun, SomeBlocks(str(number).encode()), leaving=untold, confirmed=unconfirmed)
    outcomes = await asyncio.gather(*(target.commit(begun) for begun in stages), return_exceptions=True)
    (winner,) = [number for number, outcome in enumerate(outcomes) if outcome is None]
    assert sum(isinstance(outcome, ObjectExists) for outcome in outcomes) == 7
    assert (sshd_place.directory / "run.bin").read_bytes() == str(winner).encode()


async def test_several_stages_are_written_at_once(place: Place, target: SftpTarget) -> None:
    data = [os.urandom(2 * MIB + number) for number in range(6)]
    await asyncio.gather(*(put(target, f"folder{number}/{number}.bin", some) for number, some in enumerate(data)))
    for number, some in enumerate(data):
        assert (place.directory / f"folder{number}/{number}.bin").read_bytes() == some
