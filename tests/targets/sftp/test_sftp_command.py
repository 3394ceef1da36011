"""The command sha256sum at an SFTP server: its word counts only if it is allowed, and told two digests apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gridhaul.transfer.inspection import inspect, not_shown
from gridhaul.transfer.model import Evidence, RemoteObject
from tests.servers.sshd import Keys, sshd
from tests.targets.sftp.places import SEVERAL_MIB, Place, Targets, put, sha256_of

FORCED = "ForceCommand internal-sftp\n"
STARTED = "Starting session: command"  # in the log of the server, for each command


@contextmanager
def serving(directory: Path, keys: Keys, *, extra: str = "") -> Iterator[Place]:
    directory.mkdir()
    with sshd(directory, keys, extra=extra) as server:
        yield Place(server=server, key=keys.user, directory=directory, path=str(directory))


@pytest.mark.parametrize("name", ["run.bin", "-rf", "2026-11/a b+c=d@e,f_g.bin", "=x", "@x,y", "~", "a  b"])
async def test_digest_of_the_command_is_told(targets: Targets, tmp_path: Path, keys: Keys, name: str) -> None:
    with serving(tmp_path / "served", keys) as place:
        target = await targets.probed(place.section(remote_command=True))
        assert target.abilities.digest == "sha-256"
        await put(target, name, SEVERAL_MIB)
        found = await target.find(name, length=len(SEVERAL_MIB))
        assert found == RemoteObject(
            length=len(SEVERAL_MIB), sha256=sha256_of(SEVERAL_MIB), evidence=Evidence.REMOTE_DIGEST
        )
        (place.directory / name).write_bytes(SEVERAL_MIB[:-1] + b"x")
        changed = await target.find(name, length=len(SEVERAL_MIB))
        assert changed is not None
        assert changed.sha256 == sha256_of(SEVERAL_MIB[:-1] + b"x")


@pytest.mark.parametrize("name", ["it's.bin", "a\\b.bin", "größe.bin", "*", "a\nb", "$(x)/run.bin", "`y`;", "‘x’"])
async def test_command_is_not_run_for_names_that_shells_read_differently(
    targets: Targets, tmp_path: Path, keys: Keys, name: str
) -> None:
    with serving(tmp_path / "served", keys) as place:
        target = await targets.probed(place.section(remote_command=True))
        await put(target, name, b"data")
        before = place.server.log.read_text().count(STARTED)
        assert before > 0
        found = await inspect(target, name, length=4, sha256=sha256_of(b"data"), checked=not_shown)
        assert found == RemoteObject(length=4, sha256=sha256_of(b"data"), evidence=Evidence.READ_BACK)
        assert place.server.log.read_text().count(STARTED) == before


async def test_folder_that_shells_read_differently_gets_no_digests(
    targets: Targets, tmp_path: Path, keys: Keys
) -> None:
    with serving(tmp_path / "served", keys) as place:
        folder = place.directory / "it's"
        folder.mkdir()
        target = await targets.probed(place.section(path=str(folder), remote_command=True))
        assert target.abilities.digest is None


async def test_object_of_another_length_is_not_hashed(targets: Targets, tmp_path: Path, keys: Keys) -> None:
    with serving(tmp_path / "served", keys) as place:
        target = await targets.probed(place.section(remote_command=True))
        await put(target, "run.bin", b"data")
        assert await target.find("run.bin", length=5) == RemoteObject(length=4, sha256="", evidence=Evidence.SIZE)


async def test_command_is_not_run_unless_it_is_allowed(sshd_place: Place, targets: Targets) -> None:
    target = await targets.probed(sshd_place.section(path=str(sshd_place.directory)))
    assert target.abilities.digest is None
    await put(target, "run.bin", b"data")
    assert await target.find("run.bin", length=4) == RemoteObject(length=4, sha256="", evidence=Evidence.SIZE)
    assert STARTED not in sshd_place.server.log.read_text()


@pytest.mark.parametrize("extra", [FORCED, "MaxSessions 1\n"])
async def test_server_that_runs_no_command_is_read_back(
    targets: Targets, tmp_path: Path, keys: Keys, extra: str
) -> None:
    with serving(tmp_path / "served", keys, extra=extra) as place:
        target = await targets.probed(place.section(remote_command=True))
        assert target.abilities.digest is None
        await put(target, "run.bin", b"data")
        assert await target.find("run.bin", length=4) == RemoteObject(length=4, sha256="", evidence=Evidence.SIZE)


async def test_command_that_fails_later_falls_back_to_reading(targets: Targets, tmp_path: Path, keys: Keys) -> None:
    with serving(tmp_path / "served", keys) as place:
        facts = await targets.unprobed(place.section(remote_command=True)).probe(".gridhaul-0-1~", _may_write)
    with serving(tmp_path / "other", keys, extra=FORCED) as place:
        target = targets.unprobed(place.section(remote_command=True))
        assert target.rely_on(facts)
        await put(target, "run.bin", b"data")
        found = await inspect(target, "run.bin", length=4, sha256=sha256_of(b"data"), checked=not_shown)
        assert found == RemoteObject(length=4, sha256=sha256_of(b"data"), evidence=Evidence.READ_BACK)


async def _may_write() -> None:
    """Allow the probe to write."""


async def test_shell_that_sees_another_folder_proves_nothing(sshd_place: Place, targets: Targets) -> None:
    """The path is relative: SFTP begins in the served directory, and the shell in the home directory."""
    target = targets.unprobed(sshd_place.section(remote_command=True))
    facts = await target.probe(".gridhaul-0-1~", _may_write)
    assert facts["hashes"] is False
