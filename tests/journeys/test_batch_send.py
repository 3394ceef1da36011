"""`gridhaul send` of directories, patterns and lists on a running system."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from gridhaul.embedded.system import System
from tests.journeys.conftest import Remotes
from tests.journeys.operator import MIB, Operator, make_file, sha256_of
from tests.journeys.test_account_commands import Shell

NAMES = ["a.h5", "b c.h5", "-dash", "näme.h5", "back\\slash.txt", "deep/er/x.h5", ".hidden", "empty", "deep/y.tmp"]


@pytest.fixture
def gridhaul(system: System, operator: Operator) -> Shell:
    return Shell(url=system.url, token=system.token)


@pytest.fixture
def tree(sources: Path, request: pytest.FixtureRequest) -> Path:
    """Return a directory with files of 0 B to 3 MiB. It has a name of its own, so that no two tests share objects."""
    top = sources / str(request.node.name)
    for n, name in enumerate(NAMES):
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make_file(path, 0 if name == "empty" else n * 400_000 + 1)
    return top


def delivered(top: Path) -> dict[str, str]:
    return {str(path.relative_to(top)): sha256_of(path) for path in top.rglob("*") if path.is_file()}


def batch_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr + done.stdout
    state, batch_id, *_ = done.stdout.split()
    assert (state, done.stdout.count("\n")) == ("DONE", 1)
    return batch_id


def test_directory_goes_to_two_targets_and_sha256sum_agrees(
    gridhaul: Shell, tree: Path, remotes: Remotes, tmp_path: Path
) -> None:
    (tree / "latest").symlink_to("a.h5")
    report, digests = tmp_path / "report.jsonl", tmp_path / "SHA256SUMS"
    papers = ("--report", str(report), "--sha256sums", str(digests))
    targets = ("--to", "directory", "--to", "webdav", "--prefix", tree.name)
    done = gridhaul("send", f"{tree}/", *targets, "--links", "skip", *papers)
    batch_id = batch_of(done)
    assert "1 skipped (1 link):" in done.stderr
    expected = delivered(tree)
    del expected["latest"]
    for remote in (remotes.directory, remotes.webdav):
        assert delivered(remote / tree.name) == expected
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", str(digests)], cwd=remotes.directory / tree.name, capture_output=True, text=True
    )
    assert (checked.returncode, len(checked.stdout.splitlines())) == (0, len(expected)), checked.stderr
    assert f"sha256sums={sha256_of(digests)}" in done.stdout
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    files, (skipped,) = lines[:-1], lines[-1:]
    assert {line["name"]: line["sha256"] for line in files} == expected
    assert [line["name"] for line in files] == sorted(expected, key=os.fsencode)
    assert {(one["target"], one["state"]) for line in files for one in line["deliveries"]} == {
        ("directory", "DELIVERED"),
        ("webdav", "DELIVERED"),
    }
    assert (skipped["path"], skipped["reason"]) == (str(tree / "latest"), "link")
    shown = gridhaul("batch", batch_id[-8:])
    assert shown.returncode == 0, shown.stderr
    assert f"batch {batch_id} DONE\n" in shown.stdout
    assert batch_id in gridhaul("batches").stdout


def test_patterns_choose_and_names_begin_at_the_base(gridhaul: Shell, tree: Path, remotes: Remotes) -> None:
    choice = ("--include", "*.h5", "--include", "*.tmp", "--exclude", "deep/er/", "--no-hidden")
    batch_of(gridhaul("send", str(tree), *choice, "--base", str(tree.parent), "--to", "hashed"))
    assert set(delivered(remotes.hashed / tree.name)) == {"a.h5", "b c.h5", "näme.h5", "deep/y.tmp"}


def test_quoted_pattern_is_found_on_the_server(gridhaul: Shell, tree: Path, remotes: Remotes) -> None:
    batch_of(gridhaul("send", f"{tree}/**/*.h5", "--to", "directory", "--prefix", tree.name))
    assert set(delivered(remotes.directory / tree.name)) == {"a.h5", "b c.h5", "näme.h5", "deep/er/x.h5"}


def test_list_names_files_and_a_missing_one_is_told(gridhaul: Shell, tree: Path, remotes: Remotes) -> None:
    text = f"{tree}/a.h5\0{tree}/gone\0{tree}/deep/er\0"
    done = gridhaul("send", "--files-from", "-", "--from0", "--to", "directory", "--prefix", tree.name, stdin=text)
    assert done.returncode == 1
    assert f"  source_missing {tree}/gone: " in done.stderr
    assert set(delivered(remotes.directory / tree.name)) == {"a.h5", "er/x.h5"}


def test_failed_member_is_retried_alone(gridhaul: Shell, tree: Path, remotes: Remotes) -> None:
    taken = remotes.directory / tree.name / "a.h5"
    taken.parent.mkdir()
    make_file(taken, 100)
    done = gridhaul("send", f"{tree}/", "--to", "directory", "--prefix", tree.name)
    assert done.returncode == 1
    assert f"  object_exists {tree.name}/a.h5 to directory: " in done.stderr
    batch_id = done.stdout.split()[1]
    taken.unlink()
    assert gridhaul("retry", batch_id).stdout.startswith(f"batch {batch_id} ")
    assert batch_of(gridhaul("batch", batch_id, "--follow")) == batch_id
    assert delivered(taken.parent) == delivered(tree)


def test_paused_batch_goes_on_and_cancelled_one_ends(gridhaul: Shell, sources: Path, remotes: Remotes) -> None:
    folder = sources / "paused"
    folder.mkdir()
    for n in range(12):  # enough to be under way when the next command has started
        with (folder / f"{n}.bin").open("wb") as file:
            file.truncate(32 * MIB)
    made = gridhaul("send", str(folder), "--to", "directory", "--no-wait")
    batch_id = made.stdout.split()[1]
    assert gridhaul("pause", batch_id).stdout == f"batch {batch_id} PAUSED\n"
    assert gridhaul("status", batch_id).stdout.startswith(f"batch {batch_id} PAUSED\n")
    assert gridhaul("resume", batch_id).returncode == 0
    batch_of(gridhaul("batch", batch_id, "--follow"))
    again = gridhaul("send", str(folder), "--to", "directory", "--prefix", "again", "--no-wait").stdout.split()[1]
    assert gridhaul("cancel", again).stdout == f"batch {again} CANCELLED\n"
    assert gridhaul("batch", again, "--follow").returncode == 1


def test_dry_run_sends_nothing_until_it_is_started(gridhaul: Shell, tree: Path, remotes: Remotes) -> None:
    to = ("--to", "directory", "--prefix", tree.name)
    planned = gridhaul("send", f"{tree}/", *to, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    state, batch_id, files, *_ = planned.stdout.split()
    assert (state, files, (remotes.directory / tree.name).exists()) == ("PLANNED", str(len(NAMES)), False)
    assert batch_of(gridhaul("batch", batch_id, "--start", "--follow")) == batch_id
    assert delivered(remotes.directory / tree.name) == delivered(tree)


def test_update_sends_only_what_changed(gridhaul: Shell, tree: Path, remotes: Remotes) -> None:
    to = ("--to", "directory", "--prefix", tree.name, "--if-exists", "overwrite", "--update")
    batch_of(gridhaul("send", f"{tree}/", *to))
    make_file(tree / "a.h5", 12345)
    again = gridhaul("send", f"{tree}/", *to)
    batch_of(again)
    assert again.stdout.split()[2:4] == ["1", "files"]
    assert delivered(remotes.directory / tree.name) == delivered(tree)
