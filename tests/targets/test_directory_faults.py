"""The directory target where system calls fail, its process is killed, or its disk is full."""

import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gridhaul.targets.directory import DirectoryTarget
from gridhaul.transfer.naming import MARKER
from tests.delivered import objects_in
from tests.servers.small_disk import MOUNT, why_not
from tests.targets.blocks import MIB
from tests.targets.deliveries import SCRATCH, may_write
from tests.targets.one_delivery import NAME, PART, SOURCE

PROJECT = Path(__file__).parents[2]
STRACE = shutil.which("strace")
LENGTH = 4
TEMPORARY = f"{SCRATCH}marker"
traced = pytest.mark.skipif(STRACE is None, reason="strace is not installed")
mounted = pytest.mark.skipif(why_not() is not None, reason=f"no private mounts: {why_not()}")


def one_delivery(
    directory: Path, *around: str, length: int = LENGTH, marker: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run a delivery in a process of its own, as the last arguments of a command."""
    command = [*around, sys.executable, "-m", "tests.targets.one_delivery", str(directory), str(length), marker]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=PROJECT)


def injecting(*, path: Path | None = None, **effects: str) -> tuple[str, ...]:
    """Return a command that gives system calls, or those that use `path`, an effect in the words of strace(1)."""
    only = () if path is None else ("-P", str(path))
    inject = [word for call, effect in effects.items() for word in ("-e", f"inject={call}:{effect}")]
    return (str(STRACE), "-f", "-qq", "-o", "/dev/null", *only, "-e", f"trace={','.join(effects)}", *inject)


def outcome(ended: "subprocess.CompletedProcess[str]") -> str:
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@traced
@pytest.mark.parametrize("number", ["EINVAL", "EOPNOTSUPP", "ENOSYS"])
def test_file_system_that_can_flush_neither_a_file_nor_a_folder_is_good_enough(tmp_path: Path, number: str) -> None:
    assert outcome(one_delivery(tmp_path, *injecting(fsync=f"error={number}"))) == "done"
    assert [path.name for path in objects_in(tmp_path)] == [NAME]


@traced
def test_file_system_that_flushes_only_what_is_open_for_writing_is_good_enough(tmp_path: Path) -> None:
    assert outcome(one_delivery(tmp_path, *injecting(fsync="error=EBADF", path=tmp_path))) == "done"
    assert [path.name for path in objects_in(tmp_path)] == [NAME]


@traced
@pytest.mark.parametrize("number", ["EPERM", "EACCES", "EOPNOTSUPP", "ENOSYS", "EINVAL", "EOVERFLOW"])
def test_file_system_that_keeps_neither_time_nor_mode_is_good_enough(tmp_path: Path, number: str) -> None:
    failing = injecting(utimensat=f"error={number}", fchmod=f"error={number}")
    assert outcome(one_delivery(tmp_path, *failing)) == "done"
    found = (tmp_path / NAME).stat()
    assert (found.st_size, found.st_mtime_ns != SOURCE.mtime_ns) == (LENGTH, True)


@traced
@pytest.mark.parametrize("failing", [injecting(utimensat="error=EIO"), injecting(fchmod="error=EIO")])
def test_disk_that_fails_while_attributes_are_set_is_tried_again(tmp_path: Path, failing: tuple[str, ...]) -> None:
    said = outcome(one_delivery(tmp_path, *failing))
    assert said == "target_unavailable: The target's directory failed: Input/output error."
    assert not (tmp_path / NAME).exists()


@traced
def test_object_has_its_attributes_before_it_is_flushed(tmp_path: Path) -> None:
    """strace kills the process when it flushes the temporary object."""
    ended = one_delivery(tmp_path, *injecting(fsync="signal=KILL", path=tmp_path / PART))
    assert ended.returncode == -signal.SIGKILL, ended.stdout
    found = (tmp_path / PART).stat()
    assert (found.st_mtime_ns, stat.S_IMODE(found.st_mode)) == (SOURCE.mtime_ns, SOURCE.mode)


@traced
async def test_error_of_the_disk_after_the_renaming_leaves_the_object_to_the_next_attempt(tmp_path: Path) -> None:
    target = DirectoryTarget(name="here", path=tmp_path)
    marker = (await target.probe(SCRATCH, may_write))["marker"]
    failing = injecting(fsync="error=EIO", path=tmp_path)
    said = outcome(one_delivery(tmp_path, *failing, marker=marker))
    assert said == "target_unavailable: The target's directory failed after the object was renamed: Input/output error."
    assert [path.name for path in objects_in(tmp_path)] == [NAME]


@traced
def test_file_whose_descriptor_is_not_valid_is_not_taken_for_flushed(tmp_path: Path) -> None:
    said = outcome(one_delivery(tmp_path, *injecting(fsync="error=EBADF", path=tmp_path / PART)))
    assert said.startswith("target_unavailable: ")
    assert not (tmp_path / NAME).exists()


@traced
async def test_marker_of_another_worker_is_relied_on_only_once_it_is_on_the_disk(tmp_path: Path) -> None:
    await DirectoryTarget(name="here", path=tmp_path).probe(SCRATCH, may_write)
    said = outcome(one_delivery(tmp_path, *injecting(fsync="error=EIO", path=tmp_path)))
    assert said.startswith("target_unavailable: ")
    assert objects_in(tmp_path) == []


@traced
async def test_link_whose_temporary_name_stays_is_no_refusal(tmp_path: Path) -> None:
    marker = (await DirectoryTarget(name="here", path=tmp_path).probe(SCRATCH, may_write))["marker"]
    failing = injecting(renameat2="error=EINVAL", unlinkat="error=EPERM")
    said = outcome(one_delivery(tmp_path, *failing, marker=marker))
    assert said.startswith("target_unavailable: The target's directory keeps the temporary object")
    assert {path.name for path in objects_in(tmp_path)} == {NAME, PART}


@traced
@pytest.mark.parametrize("number", ["EIO", "ENOSPC"])
def test_error_of_the_disk_while_the_marker_is_made_is_no_refusal(tmp_path: Path, number: str) -> None:
    said = outcome(one_delivery(tmp_path, *injecting(fsync=f"error={number}")))
    assert said.partition(":")[0] in ("target_unavailable", "target_full")
    assert not (tmp_path / MARKER).exists()


@traced
@pytest.mark.parametrize(
    ("call", "name", "made"),
    [("write", TEMPORARY, False), ("fsync", TEMPORARY, False), ("renameat2", "", False), ("fsync", "", True)],
)
async def test_probe_that_is_killed_leaves_no_part_of_a_marker(
    tmp_path: Path, call: str, name: str, made: bool
) -> None:
    """strace kills the process when it makes the call, before the call has its effect."""
    ended = one_delivery(tmp_path, *injecting(path=tmp_path / name, **{call: "signal=KILL"}))
    assert ended.returncode == -signal.SIGKILL, ended.stdout
    assert {path.name for path in objects_in(tmp_path)} == (set() if made else {TEMPORARY})
    marker = (tmp_path / MARKER).read_text() if made else None
    target = DirectoryTarget(name="here", path=tmp_path)
    target.rely_on(await target.probe(SCRATCH, may_write))
    assert objects_in(tmp_path) == []
    assert marker in (None, (tmp_path / MARKER).read_text())


@mounted
def test_full_disk_says_how_many_bytes_are_missing(tmp_path: Path) -> None:
    disk = ("unshare", "-rm", "sh", "-c", MOUNT, str(2 * MIB), str(tmp_path))
    said = outcome(one_delivery(tmp_path, *disk, length=8 * MIB))
    found = re.fullmatch(r"target_full: .* (\d+) bytes are free, and the object needs (\d+)\.", said)
    assert found is not None, said
    assert int(found[1]) < 2 * MIB < int(found[2]) <= 8 * MIB


@mounted
def test_disk_that_cannot_be_written_says_how_it_gets_its_marker(tmp_path: Path) -> None:
    read_only = 'mount -t tmpfs -o ro tmpfs "$0" && exec "$@"'
    said = outcome(one_delivery(tmp_path, "unshare", "-rm", "sh", "-c", read_only, str(tmp_path)))
    assert said.startswith("target_refused: ")
    assert f"into the file {MARKER}" in said
