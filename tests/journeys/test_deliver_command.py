"""`gridhaul deliver` on a running system: a file that is stored goes to further targets without its source."""

import json
import subprocess
from pathlib import Path

import pytest

from gridhaul.embedded.system import System
from tests.journeys.conftest import Remotes
from tests.journeys.operator import MIB, Operator, make_file, sha256_of
from tests.journeys.test_account_commands import Shell


@pytest.fixture
def gridhaul(system: System) -> Shell:
    return Shell(url=system.url, token=system.token)


def proof(done: subprocess.CompletedProcess[str], file_id: str, path: Path) -> bool:
    """Return whether the command ended with the proof that the file is delivered to `path`."""
    assert done.returncode == 0, done.stderr
    begin = f"DELIVERED {file_id} {path.stat().st_size} sha-256={sha256_of(path)} "
    return done.stdout.startswith(begin) and done.stdout.count("\n") == 1


def test_stored_file_goes_to_further_targets_without_its_source(
    gridhaul: Shell, operator: Operator, sources: Path, remotes: Remotes
) -> None:
    source = make_file(sources / "again.bin", 3 * MIB)
    sent = gridhaul("send", str(source), "--to", "directory", "--json")
    assert sent.returncode == 0, sent.stderr
    transfer = json.loads(sent.stdout)
    file_id, delivery_id = transfer["file"]["file_id"], transfer["delivery"]["delivery_id"]
    source.unlink()
    assert proof(gridhaul("deliver", file_id, "--to", "webdav"), file_id, remotes.webdav / "again.bin")
    named = gridhaul("deliver", delivery_id, "--to", "hashed", "--name", "2026/again.bin")
    assert proof(named, file_id, remotes.hashed / "2026" / "again.bin")
    assert f"this command delivers its file {file_id} as 2026/again.bin" in named.stderr
    assert len(operator.deliveries(file_id)) == 3


def test_repeat_prints_the_receipt_and_other_options_conflict(
    gridhaul: Shell, operator: Operator, sources: Path, remotes: Remotes
) -> None:
    file_id = operator.prepare(make_file(sources / "once.bin", MIB), to="directory")
    operator.delivered(file_id)
    before = operator.deliveries(file_id)
    assert proof(gridhaul("deliver", file_id, "--to", "directory"), file_id, remotes.directory / "once.bin")
    other = gridhaul("deliver", file_id, "--to", "directory", "--if-exists", "overwrite")
    assert (other.returncode, other.stdout) == (1, "")
    assert "ERROR options_conflict: " in other.stderr
    assert "--if-exists" in other.stderr
    assert operator.deliveries(file_id) == before


def test_delivery_that_failed_begins_again(
    gridhaul: Shell, operator: Operator, sources: Path, remotes: Remotes
) -> None:
    taken = make_file(remotes.directory / "taken-once.bin", 100)
    file_id = operator.prepare(make_file(sources / "taken-once.bin", MIB), to="directory")
    assert operator.delivery_over(file_id)["state"] == "FAILED"
    taken.unlink()
    assert proof(gridhaul("deliver", file_id, "--to", "directory"), file_id, taken)


def test_file_that_is_not_stored_is_refused_with_what_to_do(gridhaul: Shell, operator: Operator, sources: Path) -> None:
    source = sources / "not-yet.bin"
    with source.open("wb") as file:
        file.truncate(1024 * MIB)  # far more than is stored before the next request
    file_id = operator.prepare(source)
    operator.operate("files", file_id, "cancel")
    done = gridhaul("deliver", file_id, "--to", "directory")
    assert (done.returncode, done.stdout) == (1, "")
    advice = f"start it again with `gridhaul retry {file_id}`, and deliver the file when it is STORED."
    assert done.stderr == f"ERROR not_stored: The file {file_id} is CANCELLED, not STORED: {advice}\n"
