"""`gridhaul targets` on a running system, with a server whose rename replaces what has the name."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from gridhaul.embedded.system import Configuration, System
from tests.delivered import objects_in
from tests.folders import NewFolder
from tests.journeys.conftest import SHORT_LEASES
from tests.journeys.operator import MIB, Operator, make_file, sha256_of, wait_for
from tests.journeys.test_account_commands import Shell
from tests.servers.rclone_sftp import rclone_sftp
from tests.servers.sshd import make_keys
from tests.servers.webdav import rclone_webdav

TOLD = (
    "  exclusive: no, an object that takes the name in the last moment is replaced; deliveries with the policies fail "
    "and rename are refused unless allow_overwrite_race is set"
)


@pytest.fixture(scope="module")
def places(new_folder: NewFolder) -> Iterator[Path]:
    """Return the directory with the places of the targets. That of the target `away` is not there."""
    with new_folder("places") as top:
        for name in ("shell", "dav", "sources"):
            (top / name).mkdir()
        yield top


@pytest.fixture(scope="module")
def system(new_folder: NewFolder, places: Path) -> Iterator[System]:
    with new_folder("system") as data:
        password = data / "password"
        password.write_text("p")
        login = f'username = "u"\npassword = {{ file = "{password}" }}\n'
        with ExitStack() as running:
            shell = running.enter_context(rclone_sftp(places / "shell", make_keys(data)))
            dav = running.enter_context(rclone_webdav(places / "dav"))
            ssh = (
                f'kind = "sftp"\nhost = "{shell.host}"\nport = {shell.port}\n'
                f'host_key = "{shell.host_key}"\npath = "."\n'
            )
            targets = (
                f"[targets.shell]\n{ssh}{login}"
                f"[targets.racing]\n{ssh}{login}allow_overwrite_race = true\n"
                f'[targets.dav]\nkind = "webdav"\nurl = "{dav.url}"\n{login}'
                f'[targets.away]\nkind = "directory"\npath = "{places / "away"}"\n'
            )
            roots = (places / "sources",)
            configuration = Configuration(
                data=data / "data", roots=roots, port=None, environment=SHORT_LEASES, targets_toml=targets
            )
            yield running.enter_context(System(configuration))


@pytest.fixture
def operator(system: System) -> Iterator[Operator]:
    system.wait_ready(timeout_seconds=30)
    found = Operator(system)
    yield found
    found.close()


@pytest.fixture
def gridhaul(system: System, operator: Operator) -> Shell:
    return Shell(url=system.url, token=system.token)


def target(gridhaul: Shell, name: str) -> dict[str, Any]:
    listed = gridhaul("targets", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    found = (json.loads(line)["target"] for line in listed.stdout.splitlines())
    return next(one for one in found if one["name"] == name)


def probed(gridhaul: Shell, name: str) -> dict[str, Any]:
    """Wait until the target was probed, which nobody asked for, and return it."""

    def look() -> dict[str, Any] | None:
        found = target(gridhaul, name)
        return found if found["tried_at"] else None

    return wait_for(look, seconds=30, what=f"the target {name} was probed")


def test_targets_are_probed_although_nobody_delivers_and_what_was_seen_is_told(gridhaul: Shell, places: Path) -> None:
    seen, away = probed(gridhaul, "dav"), probed(gridhaul, "away")
    assert (seen["error"], seen["abilities"]["exclusive"], seen["abilities"]["atomic"]) == (None, True, True)
    assert seen["next_probe_at"] > seen["tried_at"] >= seen["seen_at"]
    assert (away["abilities"], away["error"]["code"]) == (None, "target_unavailable")
    assert away["next_probe_at"] > away["tried_at"]
    probed(gridhaul, "shell")
    lines = gridhaul("targets", "list").stdout.splitlines()
    told = {line.split()[0]: n for n, line in enumerate(lines) if not line.startswith(" ")}
    assert sorted(told) == ["away", "dav", "racing", "shell"]
    assert TOLD in lines[told["shell"] :]
    assert "  exclusive: yes, an object that takes the name in the last moment stays" in lines[told["dav"] :]
    assert list(objects_in(places / "dav")) == list(objects_in(places / "shell")) == []


def test_test_ends_with_the_error_of_a_target_that_fails_and_with_success_once_it_is_mended(
    gridhaul: Shell, places: Path
) -> None:
    failed = gridhaul("targets", "test", "dav", "away")
    assert failed.returncode == 1
    assert failed.stdout.startswith("dav (webdav), seen ")
    assert failed.stderr.startswith("FAILED away target_unavailable: The target's directory is not there;")
    (places / "away").mkdir()
    mended = gridhaul("targets", "test", "away", "--json")
    assert (mended.returncode, mended.stderr) == (0, "")
    seen = json.loads(mended.stdout)["target"]
    assert (seen["error"], seen["abilities"]["exclusive"]) == (None, True)


def test_unknown_target_is_refused(gridhaul: Shell) -> None:
    refused = gridhaul("targets", "test", "nowhere")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("ERROR nowhere target_unknown: ")


def test_delivery_that_the_server_cannot_promise_is_refused_before_the_first_byte(
    gridhaul: Shell, places: Path
) -> None:
    probed(gridhaul, "shell")
    source = make_file(places / "sources" / "refused.bin", MIB)
    for policy in ("fail", "rename"):
        refused = gridhaul("send", str(source), "--to", "shell", "--if-exists", policy)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "ERROR target_not_exclusive: " in refused.stderr
        assert "allow_overwrite_race = true for 'shell'" in refused.stderr
    assert list(objects_in(places / "shell")) == []
    sent = gridhaul("send", str(source), "--to", "shell", "--if-exists", "overwrite")
    assert sent.returncode == 0, sent.stderr
    assert sha256_of(places / "shell" / "refused.bin") == sha256_of(source)


def test_setting_accepts_the_race_and_an_object_that_is_there_stays(gridhaul: Shell, places: Path) -> None:
    source = make_file(places / "sources" / "raced.bin", MIB)
    sent = gridhaul("send", str(source), "--to", "racing", "--json")
    assert sent.returncode == 0, sent.stderr
    receipt = json.loads(sent.stdout)["delivery"]["receipt"]
    assert (receipt["abilities"]["exclusive"], receipt["abilities"]["atomic"]) == (False, True)
    other = make_file(places / "sources" / "other.bin", MIB)
    refused = gridhaul("send", str(other), "--to", "racing", "--name", "raced.bin")
    assert "object_exists" in refused.stderr
    assert sha256_of(places / "shell" / "raced.bin") == sha256_of(source)


def test_worker_killed_while_it_probes_leaves_nothing_for_good(
    gridhaul: Shell, operator: Operator, places: Path
) -> None:
    probed(gridhaul, "dav")
    with operator.database() as database:
        records = database["targets"]
        scratch = wait_for(lambda: _kill_a_probe(operator, records), seconds=120, what="a probe was killed in time")
        assert scratch.startswith(f".gridhaul-{records.find_one({'name': 'dav'})['_id']}-")
        seen = probed(gridhaul, "dav")
        assert (seen["error"], records.find_one({"name": "dav"})["scratch"]) == (None, None)
    assert list((places / "dav").iterdir()) == []


def _kill_a_probe(operator: Operator, records: Any) -> str | None:
    """Kill the worker that probes the WebDAV server, and return its scratch; None if the probe was over before."""
    asked = operator.http.post("/targets/dav/probe")
    assert asked.status_code == 202, asked.text
    probing = {"name": "dav", "state": "PROBING", "scratch": {"$ne": None}}
    over = {"name": "dav", "tried_at": {"$ne": None}}
    found = wait_for(
        lambda: records.find_one(probing) or records.find_one(over), seconds=30, what="the probe has begun to write"
    )
    if found["tried_at"]:
        return None
    psutil.Process(int(found["lease_holder"].rpartition(":")[2])).kill()
    left = records.find_one(probing)
    return str(left["scratch"]) if left else None
