"""The SFTP target at OpenSSH's server and at rclone's, beyond the suites of tests/contracts."""

import asyncio
import os
import time

import pytest

from gridhaul.targets.sftp.target import SftpTarget
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.attributes import has_mode, has_mtime
from gridhaul.transfer.errors import NotAnObject, TargetRefused
from gridhaul.transfer.inspection import not_shown
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import KeepsAttributes, Listing, Probed, Staging, Tagging, TellsRoom
from tests.targets.blocks import MIB
from tests.targets.deliveries import PART, SCRATCH, deliver, holding, look, may_write, written
from tests.targets.places import SftpPlace
from tests.targets.sftp.targets import SEVERAL_MIB, Targets

SOURCE = Attributes(mtime_ns=1_600_000_000_123_456_789, mode=0o4640)


@pytest.fixture
async def target(place: SftpPlace, targets: Targets) -> SftpTarget:
    return await targets.probed(place)


def test_target_has_the_further_abilities_of_its_kind(target: SftpTarget) -> None:
    for ability in (Staging, KeepsAttributes, Listing, TellsRoom, Probed):
        assert isinstance(target, ability)
    assert not isinstance(target, Tagging)


async def test_abilities_are_those_that_the_probe_saw(place: SftpPlace, target: SftpTarget) -> None:
    openssh = Abilities(atomic=True, exclusive=True, durable=True, resumable=True, free_space=True)
    rclone = Abilities(atomic=True, free_space=True)
    assert target.abilities == (openssh if place.kind == "sshd" else rclone)


async def test_what_a_killed_probe_left_is_cleared(place: SftpPlace, targets: Targets) -> None:
    target = targets.unprobed(place)
    for letter in "ac":
        (place.directory / f"{SCRATCH}{letter}").write_bytes(b"left")
    (place.directory / "theirs").write_bytes(b"stays")
    await asyncio.sleep(0.1)  # rclone sees a change of its directory that late
    await target.clear(SCRATCH)
    assert [path.name for path in place.directory.iterdir()] == ["theirs"]


@pytest.mark.parametrize("facts", [{}, {"server": 5}, {"write_bytes": 0}])
async def test_facts_of_another_form_ask_for_a_probe(
    place: SftpPlace, targets: Targets, facts: dict[str, object]
) -> None:
    target = targets.unprobed(place)
    seen = await target.probe(SCRATCH, may_write)
    assert target.rely_on(seen)
    abilities = target.abilities
    whole = await written(target, "run.bin", b"data")
    assert not target.rely_on({**seen, **facts} if facts else {})
    assert target.abilities == abilities
    await target.commit(whole)  # a delivery that is under way goes on with the facts that it began with


async def test_name_with_a_backslash_is_kept(place: SftpPlace, target: SftpTarget) -> None:
    await deliver(target, "a\\b.bin", b"data")
    assert await look(target, "a\\b.bin", b"data") == holding(b"data")
    assert (place.directory / "a\\b.bin").read_bytes() == b"data"


async def test_name_that_is_too_long_is_not_tried_for_ever(target: SftpTarget) -> None:
    if target.abilities.exclusive:  # OpenSSH's server tells the reason; rclone's has one code for all reasons
        with pytest.raises(TargetRefused, match="choose another name"):
            await deliver(target, "a" * 256, b"data")


async def test_file_where_a_folder_is_needed_is_named(target: SftpTarget) -> None:
    await deliver(target, "a/b", b"data")
    with pytest.raises(TargetRefused, match="has a file under 'a/b', where a folder is needed"):
        await deliver(target, "a/b/c/1.bin", b"data")


async def test_link_is_no_object(sshd_place: SftpPlace, targets: Targets) -> None:
    target = await targets.probed(sshd_place)
    (sshd_place.directory / "secret").write_bytes(b"data")
    (sshd_place.directory / "link").symlink_to("secret")
    for call in (
        target.find("link", length=4),
        target.read_back("link", length=4, sha256="", checked=not_shown),
        target.remove("link"),
        target.replace(await written(target, "link", b"ours")),
    ):
        with pytest.raises(NotAnObject):
            await call
    assert (sshd_place.directory / "secret").read_bytes() == b"data"


async def test_new_stage_is_not_written_through_a_link(sshd_place: SftpPlace, targets: Targets) -> None:
    target = await targets.probed(sshd_place)
    (sshd_place.directory / "secret").write_bytes(b"theirs")
    for there in ("secret", "nothing"):
        (sshd_place.directory / PART).symlink_to(there)
        with pytest.raises(NotAnObject):
            await written(target, "run.bin", b"ours")
        (sshd_place.directory / PART).unlink()
    assert (sshd_place.directory / "secret").read_bytes() == b"theirs"
    assert not (sshd_place.directory / "nothing").exists()


async def test_longer_object_is_not_read_to_its_end(target: SftpTarget) -> None:
    await deliver(target, "run.bin", SEVERAL_MIB)
    found = await target.read_back("run.bin", length=MIB, sha256="", checked=not_shown)
    assert found is not None
    assert (found.length, found.sha256) == (MIB + 1, "")


async def test_names_that_are_not_utf_8_are_left_out(sshd_place: SftpPlace, targets: Targets) -> None:
    target = await targets.probed(sshd_place)
    for name in (b"\xff.bin", b"gr\xf6sse", "größe".encode()):
        (sshd_place.directory / os.fsdecode(name)).touch()
    assert [name async for name in target.names("")] == ["größe"]


@pytest.mark.parametrize("keep_mode", [False, True])
async def test_object_gets_the_attributes_of_its_source(place: SftpPlace, targets: Targets, keep_mode: bool) -> None:
    target = await targets.probed(place, keep_mode=keep_mode)
    await target.commit(await written(target, "run.bin", SEVERAL_MIB, attributes=SOURCE))
    found = await target.attributes("run.bin")
    assert has_mtime(found, SOURCE)
    assert found is not None
    assert found.mtime_ns // 10**9 == (place.directory / "run.bin").stat().st_mtime_ns // 10**9
    assert not has_mode(found, SOURCE)  # setuid is never given
    if place.kind == "sshd":
        assert ((place.directory / "run.bin").stat().st_mode & 0o7777 == 0o640) == keep_mode


@pytest.mark.parametrize("mtime_ns", [-5, 1 << 63])
async def test_time_that_sftp_cannot_tell_is_left_out(target: SftpTarget, mtime_ns: int) -> None:
    await target.commit(await written(target, "run.bin", b"data", attributes=Attributes(mtime_ns=mtime_ns, mode=None)))
    found = await target.attributes("run.bin")
    assert found is not None
    assert abs(found.mtime_ns - time.time_ns()) < 60 * 10**9


async def test_location_names_the_object_and_no_credentials(place: SftpPlace, targets: Targets) -> None:
    target = await targets.probed(place)
    server = f"sftp://127.0.0.1:{place.server.port}"
    assert target.location("a b/run.bin") == f"{server}/~/{place.path}/a%20b/run.bin"
    assert targets.unprobed(place, path="/").location("run.bin") == f"{server}/run.bin"
    assert targets.unprobed(place, path="/srv/x/").location("run.bin") == f"{server}/srv/x/run.bin"
