"""The command sha256sum at an SFTP server: its word counts only if it is allowed, and told two digests apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gridhaul.transfer.digest import content_sha256
from gridhaul.transfer.model import Evidence, RemoteObject
from tests.servers.sshd import Keys, sshd
from tests.targets.deliveries import SCRATCH, deliver, holding, look, may_write
from tests.targets.places import SftpPlace
from tests.targets.sftp.targets import SEVERAL_MIB, Targets

FORCED = "ForceCommand internal-sftp\n"
STARTED = "Starting session: command"  # in the log of the server, for each command


@contextmanager
def serving(directory: Path, keys: Keys, *, extra: str = "") -> Iterator[SftpPlace]:
    directory.mkdir()
    with sshd(directory, keys, extra=extra) as server:
        yield SftpPlace(
            server=server, keys=keys, directory=directory, path=str(directory), more={"remote_command": True}
        )


@pytest.mark.parametrize("name", ["run.bin", "-rf", "2026-11/a b+c=d@e,f_g.bin", "=x", "@x,y", "~", "a  b"])
async def test_digest_of_the_command_is_told(targets: Targets, tmp_path: Path, keys: Keys, name: str) -> None:
    with serving(tmp_path / "served", keys) as place:
        target = await targets.probed(place)
        assert target.abilities.digest == "sha-256"
        await deliver(target, name, SEVERAL_MIB)
        found = await target.find(name, length=len(SEVERAL_MIB))
        assert found == holding(SEVERAL_MIB, Evidence.REMOTE_DIGEST)
        (place.directory / name).write_bytes(SEVERAL_MIB[:-1] + b"x")
        changed = await target.find(name, length=len(SEVERAL_MIB))
        assert changed is not None
        assert changed.sha256 == content_sha256(SEVERAL_MIB[:-1] + b"x")


@pytest.mark.parametrize("name", ["it's.bin", "a\\b.bin", "größe.bin", "*", "a\nb", "$(x)/run.bin", "`y`;", "‘x’"])
async def test_command_is_not_run_for_names_that_shells_read_differently(
    targets: Targets, tmp_path: Path, keys: Keys, name: str
) -> None:
    with serving(tmp_path / "served", keys) as place:
        target = await targets.probed(place)
        await deliver(target, name, b"data")
        before = place.server.log.read_text().count(STARTED)
        assert before > 0
        assert await look(target, name, b"data") == holding(b"data")
        assert place.server.log.read_text().count(STARTED) == before


async def test_folder_that_shells_read_differently_gets_no_digests(
    targets: Targets, tmp_path: Path, keys: Keys
) -> None:
    with serving(tmp_path / "served", keys) as place:
        folder = place.directory / "it's"
        folder.mkdir()
        target = await targets.probed(place.configured(path=str(folder)))
        assert target.abilities.digest is None


async def test_object_of_another_length_is_not_hashed(targets: Targets, tmp_path: Path, keys: Keys) -> None:
    with serving(tmp_path / "served", keys) as place:
        target = await targets.probed(place)
        await deliver(target, "run.bin", b"data")
        assert await target.find("run.bin", length=5) == RemoteObject(length=4, sha256="", evidence=Evidence.SIZE)


async def test_command_is_not_run_unless_it_is_allowed(sshd_place: SftpPlace, targets: Targets) -> None:
    target = await targets.probed(sshd_place, path=str(sshd_place.directory))
    assert target.abilities.digest is None
    await deliver(target, "run.bin", b"data")
    assert await target.find("run.bin", length=4) == RemoteObject(length=4, sha256="", evidence=Evidence.SIZE)
    assert STARTED not in sshd_place.server.log.read_text()


@pytest.mark.parametrize("extra", [FORCED, "MaxSessions 1\n"])
async def test_server_that_runs_no_command_is_read_back(
    targets: Targets, tmp_path: Path, keys: Keys, extra: str
) -> None:
    with serving(tmp_path / "served", keys, extra=extra) as place:
        target = await targets.probed(place)
        assert target.abilities.digest is None
        await deliver(target, "run.bin", b"data")
        assert await target.find("run.bin", length=4) == RemoteObject(length=4, sha256="", evidence=Evidence.SIZE)


async def test_command_that_fails_later_falls_back_to_reading(targets: Targets, tmp_path: Path, keys: Keys) -> None:
    with serving(tmp_path / "served", keys) as place:
        facts = await targets.unprobed(place).probe(SCRATCH, may_write)
    with serving(tmp_path / "other", keys, extra=FORCED) as place:
        target = targets.unprobed(place)
        assert target.rely_on(facts)
        await deliver(target, "run.bin", b"data")
        assert await look(target, "run.bin", b"data") == holding(b"data")


async def test_shell_that_sees_another_folder_proves_nothing(sshd_place: SftpPlace, targets: Targets) -> None:
    """The path is relative: SFTP begins in the served directory, and the shell in the home directory."""
    target = targets.unprobed(sshd_place, remote_command=True)
    facts = await target.probe(SCRATCH, may_write)
    assert facts["hashes"] is False
