"""The probe of SFTP servers that do less than OpenSSH's, and how deliveries go there."""

from pathlib import Path

import asyncssh
import pytest

from gridhaul.targets.sftp.facts import facts_of
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.digest import content_sha256
from gridhaul.transfer.errors import NotAnObject, ObjectExists, TargetInconsistent, TargetRefused
from tests.servers.sshd import Keys
from tests.targets.deliveries import PART, SCRATCH, deliver, look, may_write, written
from tests.targets.sftp.odd_servers import (
    Careless,
    Copying,
    Flipping,
    Forgetful,
    Plain,
    Reopening,
    SmallRequests,
    Trimming,
    odd_server,
)
from tests.targets.sftp.targets import SEVERAL_MIB, Targets


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """Return the empty directory of a server."""
    directory = tmp_path / "served"
    directory.mkdir()
    return directory


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_server_without_extensions_names_by_rename(served: Path, targets: Targets, keys: Keys) -> None:
    async with odd_server(served, keys, Plain) as place:
        target = await targets.probed(place)
        assert target.abilities == Abilities(exclusive=True, resumable=True)
        assert await target.free_bytes() is None
        await deliver(target, "a/run.bin", SEVERAL_MIB)
        with pytest.raises(ObjectExists):
            await target.commit(await written(target, "a/run.bin", b"other"))
        assert (served / "a/run.bin").read_bytes() == SEVERAL_MIB
        await target.replace(await written(target, "a/run.bin", b"other"))
        assert (served / "a/run.bin").read_bytes() == b"other"
        assert not (served / "a" / PART).exists()
        await target.close()


async def test_server_that_replaces_everywhere_is_not_exclusive(served: Path, targets: Targets, keys: Keys) -> None:
    async with odd_server(served, keys, Careless) as place:
        target = await targets.probed(place)
        assert (target.abilities.atomic, target.abilities.exclusive) == (True, False)
        await deliver(target, "run.bin", b"theirs")
        with pytest.raises(ObjectExists):  # by the look right before
            await target.commit(await written(target, "run.bin", b"ours"))
        assert (served / "run.bin").read_bytes() == b"theirs"
        await target.close()


@pytest.mark.parametrize(("kind", "opens_new"), [(asyncssh.SFTPServer, True), (Reopening, False)])
async def test_stage_is_new_or_no_link_where_the_server_refuses_nothing(
    served: Path, targets: Targets, keys: Keys, kind: type[asyncssh.SFTPServer], opens_new: bool
) -> None:
    async with odd_server(served, keys, kind) as place:
        target = targets.unprobed(place)
        facts = await target.probe(SCRATCH, may_write)
        assert facts["opens_new"] == opens_new
        assert target.rely_on(facts)
        (served / PART).symlink_to("secret")
        with pytest.raises(NotAnObject):
            await written(target, "run.bin", b"ours")
        assert names_in(served) == [PART]
        (served / PART).unlink()
        (served / PART).write_bytes(b"ou")  # of an earlier attempt, which confirmed nothing
        await target.commit(await written(target, "run.bin", b"ours"))
        assert (served / "run.bin").read_bytes() == b"ours"
        await target.close()


async def test_server_that_copies_instead_of_renaming_is_not_used_to_replace(
    served: Path, targets: Targets, keys: Keys
) -> None:
    async with odd_server(served, keys, Copying) as place:
        target = targets.unprobed(place)
        with pytest.raises(TargetRefused, match="cannot rename"):
            await target.probe(SCRATCH, may_write)
        assert names_in(served) == []
        await target.close()


async def test_names_that_a_server_does_not_keep_are_refused_before_a_byte_leaves(
    served: Path, targets: Targets, keys: Keys
) -> None:
    async with odd_server(served, keys, Trimming) as place:
        target = targets.unprobed(place)
        facts = await target.probe(SCRATCH, may_write)
        assert set(facts["lost"]) == {"the character '?'", "a dot at its end", "a space at its end"}
        assert target.rely_on(facts)
        for name in ("what?", "dot.", "folder /run.bin"):
            with pytest.raises(TargetRefused, match="choose another name"):
                await deliver(target, name, b"data")
        assert names_in(served) == []
        await deliver(target, "plain.bin", b"data")
        await target.close()


@pytest.mark.parametrize(("kind", "most_bytes"), [(SmallRequests, 32 << 10), (asyncssh.SFTPServer, 255 << 10)])
async def test_size_of_requests_is_tried_where_none_is_announced(
    served: Path,
    targets: Targets,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[asyncssh.SFTPServer],
    most_bytes: int,
) -> None:
    announced = [
        extension for extension in asyncssh.sftp.SFTPServerHandler._extensions if b"limits" not in extension[0]
    ]
    monkeypatch.setattr(asyncssh.sftp.SFTPServerHandler, "_extensions", announced)
    async with odd_server(served, keys, kind) as place:
        target = targets.unprobed(place)
        facts = await target.probe(SCRATCH, may_write)
        seen = facts_of(facts)
        assert seen is not None
        assert seen.write_bytes == most_bytes
        assert target.rely_on(facts)
        await deliver(target, "run.bin", SEVERAL_MIB)
        assert (served / "run.bin").read_bytes() == SEVERAL_MIB
        await target.close()


async def test_command_that_tells_one_digest_for_all_is_not_believed(
    served: Path, targets: Targets, keys: Keys
) -> None:
    async with odd_server(served, keys, asyncssh.SFTPServer) as place:
        target = await targets.probed(place.configured(remote_command=True))
        assert target.abilities.digest is None
        await target.close()


async def test_bytes_that_a_server_lost_are_noticed(served: Path, targets: Targets, keys: Keys) -> None:
    async with odd_server(served, keys, Forgetful) as place:
        target = await targets.probed(place)
        with pytest.raises(TargetInconsistent, match="another length"):
            await written(target, "run.bin", SEVERAL_MIB)
        await target.close()


async def test_wrong_bit_is_read_back(served: Path, targets: Targets, keys: Keys) -> None:
    async with odd_server(served, keys, Flipping) as place:
        target = await targets.probed(place)
        await written(target, "run.bin", SEVERAL_MIB)
        found = await look(target, PART, SEVERAL_MIB)
        assert found is not None
        assert found.length == len(SEVERAL_MIB)
        assert found.sha256 not in ("", content_sha256(SEVERAL_MIB))
        await target.close()
