"""Sections of SFTP targets in `targets.toml`: what is wrong is told with its key, before any connection."""

import os
from pathlib import Path
from typing import Any

import pytest

from gridhaul.process.settings import SettingsError
from gridhaul.targets.targets_file import load_targets, target_definitions
from tests.servers.sshd import Keys, SshServer
from tests.targets.places import SftpPlace
from tests.targets.sftp.targets import Targets

JUMP = {"host": "jump.example", "username": "j"}


@pytest.fixture
def place(keys: Keys, tmp_path: Path) -> SftpPlace:
    """Return a place whose server does not run: a section opens no connection."""
    return SftpPlace(server=SshServer(user="u", host_key=keys.line(keys.host)), keys=keys, directory=tmp_path)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"host": None}, "host: is missing"),
        ({"host": "a b"}, "host: "),
        ({"host": "u@there"}, "host: "),
        ({"port": 0}, "port: "),
        ({"port": 70000}, "port: "),
        ({"port": "22"}, "port: "),
        ({"username": None}, "username: is missing"),
        ({"username": ""}, "username: "),
        ({"path": None}, "path: is missing"),
        ({"path": ""}, "path: must be a folder at the server"),
        ({"path": "../x"}, "path: must be a folder at the server"),
        ({"host_key": None}, "exactly one of known_hosts and host_key is needed"),
        ({"known_hosts": "/etc/x"}, "exactly one of known_hosts and host_key is needed"),
        ({"host_key": None, "known_hosts": "x"}, "known_hosts: must be an absolute path"),
        ({"host_key": None, "known_hosts": "/no/such"}, "known_hosts: the file /no/such cannot be read"),
        ({"host_key": "ssh-ed25519 AAAA"}, "host_key: is no public key"),
        ({"host_key": ""}, "host_key: is no public key"),
        ({"private_key": None}, "private_key or password is needed"),
        ({"private_key": "/etc/key"}, "private_key: must be"),
        ({"private_key": {"file": "/no/such"}}, "private_key: cannot read /no/such"),
        ({"private_key": {"env": "NO_SUCH_KEY"}}, "private_key: the environment has no NO_SUCH_KEY"),
        ({"private_key": {"file": "/etc/hostname"}}, "private_key: "),
        ({"private_key": {"file": "/bin/true"}}, "private_key: "),
        ({"private_key": None, "password": {"file": "/x"}, "passphrase": {"file": "/x"}}, "belong to a private_key"),
        ({"passphrase": {"env": "NO_SUCH_PHRASE"}}, "passphrase: "),
        ({"password": {"env": "NO_SUCH_PASSWORD"}}, "password: "),
        ({"certificate": "/no/such"}, "certificate: "),
        ({"certificate": "/etc/hostname"}, "certificate: "),
        ({"remote_command": "yes"}, "remote_command: "),
        ({"keep_mode": 1}, "keep_mode: "),
        ({"allow_overwrite_race": "no"}, "allow_overwrite_race: "),
        ({"agent": True}, "agent: unknown key"),
        ({"jump": JUMP}, "jump: exactly one of known_hosts and host_key is needed"),
        ({"jump": {**JUMP, "host_key": "x"}}, "jump.host_key: is no public key"),
        ({"jump": {**JUMP, "host_key": "x", "path": "/"}}, "jump.path: unknown key"),
        ({"jump": {**JUMP, "host_key": "HOST", "private_key": {"file": "/no"}}}, "jump.private_key: cannot read /no"),
        ({"jump": {**JUMP, "host_key": "HOST"}, "private_key": None, "password": {"file": "/x"}}, "jump needs"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(
    place: SftpPlace, targets: Targets, more: dict[str, Any], words: str
) -> None:
    jump = more.get("jump", {})
    if jump.get("host_key") == "HOST":
        more = {**more, "jump": {**jump, "host_key": place.server.host_key}}
    with pytest.raises(SettingsError) as caught:
        targets.unprobed(place, **more)
    assert "target 'there': " in str(caught.value)
    assert words in str(caught.value)


def test_names_are_told_without_reading_a_key(place: SftpPlace, tmp_path: Path) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(place.section(private_key={"file": "/no/such"}))
    (definition,) = target_definitions(file)
    assert (definition.name, definition.kind, definition.allow_overwrite_race) == ("there", "sftp", False)


def test_secrets_are_not_shown(place: SftpPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "0pen sesame")
    file = tmp_path / "targets.toml"
    file.write_text(place.section(password={"env": "SECRET"}))
    target = load_targets(file).get("there")
    assert "0pen" not in repr(vars(target)) + repr(vars(vars(target)["_connection"]))


def test_fingerprint_is_of_what_decides_the_facts(place: SftpPlace, targets: Targets, keys: Keys) -> None:
    first = targets.unprobed(place).fingerprint
    same: list[dict[str, Any]] = [{}, {"keep_mode": True}, {"private_key": {"file": str(keys.stranger)}}]
    others: list[dict[str, Any]] = [
        {"path": "/x"},
        {"username": "v"},
        {"port": 1},
        {"host": "localhost"},
        {"remote_command": True},
    ]
    assert {targets.unprobed(place, **more).fingerprint for more in same} == {first}
    assert len({targets.unprobed(place, **more).fingerprint for more in [{}, *others]}) == 6


def test_key_comes_from_the_environment_too(
    place: SftpPlace, targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_KEY", place.keys.user.read_text())
    assert targets.unprobed(place, private_key={"env": "THE_KEY"})


@pytest.mark.parametrize(("host", "shown"), [("::1", "[::1]"), ("files.example", "files.example")])
def test_location_is_a_url(place: SftpPlace, targets: Targets, host: str, shown: str) -> None:
    target = targets.unprobed(place, host=host, port=22, path="/srv/a b")
    assert target.location("x/y.bin") == f"sftp://{shown}:22/srv/a%20b/x/y.bin"


def test_no_agent_and_no_default_key_takes_part(
    place: SftpPlace, targets: Targets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    target = targets.unprobed(place)
    options = target._connection._login.options
    assert not options.agent_path
    assert options.known_hosts is not None
    assert options.client_keys is not None
    assert len(options.client_keys) == 1
    assert not options.gss_auth


def test_user_without_a_name_is_told(place: SftpPlace, targets: Targets, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54_321)  # as in a container that runs under a number
    with pytest.raises(SettingsError, match=r"target 'there': the system has no name for the user .* set LOGNAME"):
        targets.unprobed(place)
    monkeypatch.setenv("LOGNAME", "any")
    assert targets.unprobed(place)
