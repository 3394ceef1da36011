"""Accounts and keys with the command alone, as an operator and the owners of accounts use it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from gridhaul.embedded.system import System
from tests.journeys.operator import MIB, make_file, sha256_of
from tests.journeys.processes import PROJECT

PASSWORD = "correct horse battery"
NEW = "another horse entirely"


@dataclass(frozen=True, kw_only=True)
class Shell:
    """The command with an api's URL and a token; without a token, each command must log in."""

    url: str
    token: str | None = None

    def __call__(self, *args: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        settings = {"GRIDHAUL_URL": self.url, **({"GRIDHAUL_TOKEN": self.token} if self.token else {}), **more}
        return subprocess.run(
            [str(Path(sys.executable).parent / "gridhaul"), *args],
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], **settings},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def key(self, name: str, username: str, *options: str) -> str:
        """Make a key of the account, with the password, and return it."""
        made = self("keys", "create", name, "--username", username, *options, stdin=f"{PASSWORD}\n")
        assert made.returncode == 0, made.stderr
        return made.stdout.removesuffix("\n")


@pytest.fixture(scope="module")
def admin(system: System) -> Shell:
    system.wait_ready(timeout_seconds=30)
    return Shell(url=system.url, token=system.token)


@pytest.fixture(scope="module")
def nobody(system: System) -> Shell:
    """Return a shell without a token."""
    return Shell(url=system.url)


def let_in(admin: Shell, username: str, *options: str, scopes: str = "prepare,finalize,read") -> None:
    made = admin("accounts", "create", username, "--scopes", scopes, *options, "--password", stdin=f"{PASSWORD}\n")
    assert made.returncode == 0, made.stderr


def outcome(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    """Return the exit code, and the code of the error in the last line of stderr."""
    last = done.stderr.splitlines()[-1] if done.stderr else ""
    return done.returncode, last.removeprefix("ERROR ").partition(":")[0]


def test_key_sends_from_its_root_to_its_target_until_it_is_revoked(
    admin: Shell, nobody: Shell, sources: Path, remotes: Mapping[str, Path]
) -> None:
    home = sources / "carol"
    home.mkdir()
    inside, outside = make_file(home / "in.bin", 3 * MIB + 1), make_file(sources / "out.bin", 1000)
    let_in(admin, "carol", "--root", str(home), "--target", "directory")
    key = nobody.key("exports", "carol")
    carol = Shell(url=nobody.url, token=key)

    sent = carol("send", str(inside), "--to", "directory", "--name", "carol/in.bin")
    assert (sent.returncode, sent.stdout.split()[0]) == (0, "DELIVERED"), sent.stderr
    assert sha256_of(inside) in sent.stdout
    assert outcome(carol("send", str(outside), "--to", "directory")) == (5, "path_not_allowed")
    assert outcome(carol("send", str(home / "none.bin"), "--to", "directory")) == (4, "source_missing")
    assert outcome(carol("send", str(inside), "--to", "webdav")) == (2, "target_unknown")
    assert outcome(carol("rm", sent.stdout.split()[1]))[0] == 5
    assert outcome(carol("accounts", "list")) == (5, "forbidden")
    assert outcome(carol("keys", "create", "another")) == (5, "password_needed")

    (key_id,) = (line.split()[0] for line in carol("keys", "list").stdout.splitlines()[1:])
    revoked = nobody("keys", "revoke", key_id, "--username", "carol", stdin=PASSWORD)
    assert (revoked.returncode, revoked.stdout) == (0, f"key {key_id} REVOKED\n")
    again = nobody("keys", "revoke", key_id, "--username", "carol", GRIDHAUL_PASSWORD=PASSWORD)
    assert again.returncode == 4
    assert outcome(carol("send", str(inside), "--to", "directory")) == (5, "unauthorized")
    assert key not in revoked.stdout + revoked.stderr + again.stderr


def test_each_login_is_over_when_its_command_is(admin: Shell, nobody: Shell, system: System) -> None:
    let_in(admin, "dave")
    nobody.key("one", "dave", "--scopes", "read", "--expires-in-days", "1")
    assert nobody("account", "--username", "dave", stdin=PASSWORD).returncode == 0
    log = (system.data / "logs" / "api.log").read_text()
    actions = [line for line in log.splitlines() if '"account": "dave"' in line and '"action": "log' in line]
    assert ['"login"' in line for line in actions] == [True, False, True, False], actions
    assert PASSWORD not in log


def test_new_password_is_the_only_one_and_keys_stay(admin: Shell, nobody: Shell) -> None:
    let_in(admin, "erin")
    key = nobody.key("one", "erin")
    changed = nobody("account", "password", "--username", "erin", stdin=f"{PASSWORD}\n{NEW}\n")
    assert changed.returncode == 0, changed.stderr
    assert outcome(nobody("account", "--username", "erin", stdin=PASSWORD)) == (5, "unauthorized")
    assert nobody("account", "--username", "erin", stdin=NEW).returncode == 0
    assert Shell(url=nobody.url, token=key)("account").returncode == 0


def test_new_password_revokes_keys_on_request(admin: Shell, nobody: Shell) -> None:
    let_in(admin, "heidi")
    key = nobody.key("one", "heidi")
    changed = nobody("account", "password", "--username", "heidi", "--revoke-keys", stdin=f"{PASSWORD}\n{NEW}\n")
    assert changed.returncode == 0, changed.stderr
    assert outcome(Shell(url=nobody.url, token=key)("account")) == (5, "unauthorized")


def test_admin_who_logs_in_gives_a_password(admin: Shell, nobody: Shell) -> None:
    let_in(admin, "ivan", scopes="admin")
    options = ("--scopes", "read", "--password", "--username", "ivan")
    made = nobody("accounts", "create", "judy", *options, stdin=f"{PASSWORD}\n{NEW}\n")
    assert made.returncode == 0, made.stderr
    assert nobody("account", "--username", "judy", stdin=NEW).returncode == 0


def test_changes_by_an_admin_hold_at_once(admin: Shell, nobody: Shell) -> None:
    let_in(admin, "frank", "--quota", "10GiB", scopes="read")
    assert outcome(admin("accounts", "create", "frank", "--scopes", "read")) == (1, "account_exists")
    assert outcome(admin("accounts", "show", "nobody")) == (4, "not_found")
    frank = Shell(url=nobody.url, token=nobody.key("one", "frank"))
    shown = admin("accounts", "set", "frank", "--quota", "none", "--max-open-files", "3", "--disable").stdout
    assert "account frank DISABLED\n" in shown
    assert "the server's limit, 0 B used\n" in shown
    assert outcome(frank("ls")) == (5, "unauthorized")
    admin("accounts", "set", "frank", "--enable", "--scopes", "")
    assert outcome(frank("ls")) == (5, "forbidden")
    assert "frank" in admin("accounts", "list").stdout


def test_file_beyond_the_quota_is_refused_until_there_is_more(admin: Shell, nobody: Shell, sources: Path) -> None:
    path = make_file(sources / "grace.bin", 2 * MIB)
    let_in(admin, "grace", "--quota", "1MiB")
    grace = Shell(url=nobody.url, token=nobody.key("one", "grace"))
    send = ("send", str(path), "--to", "directory", "--name", "grace.bin")
    assert outcome(grace(*send)) == (1, "quota_exceeded")
    admin("accounts", "set", "grace", "--quota", "3MiB")
    assert grace(*send).returncode == 0
    assert "  quota     3.0 MiB, 2.0 MiB used\n" in grace("account").stdout
