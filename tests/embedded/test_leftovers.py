"""`end_processes`: it finds the processes of a killed system by their data directory, and stops them."""

import subprocess
from pathlib import Path

import psutil

from gridhaul.embedded.leftovers import MARK, end_processes
from tests.journeys.operator import wait_for


def test_only_processes_of_this_directory_are_ended(tmp_path: Path) -> None:
    ours, other = (marked(tmp_path / name) for name in ("ours", "other"))
    try:
        assert end_processes(tmp_path / "ours") == 1
        assert ours.wait(timeout=10) != 0
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


def test_nothing_left_is_nothing_to_do(tmp_path: Path) -> None:
    assert end_processes(tmp_path) == 0


def marked(data: Path) -> subprocess.Popen[bytes]:
    """Return a process marked with this data directory, once /proc shows its environment: shortly after its start."""
    process = subprocess.Popen(["/bin/sleep", "1000"], env={MARK: str(data)})
    wait_for(lambda: MARK in psutil.Process(process.pid).environ(), seconds=10, what="the process shows its mark")
    return process
