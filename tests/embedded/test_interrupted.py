"""A signal that comes while the command is still being imported: nothing has been started, so one line is the end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WAITING_IMPORT = """
import pathlib, time
pathlib.Path({marker!r}).touch()
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        ("up", signal.SIGINT, 0),
        ("up", signal.SIGTERM, 0),
        ("demo", signal.SIGINT, 128 + signal.SIGINT),
        ("demo", signal.SIGTERM, 128 + signal.SIGTERM),
    ],
)
def test_signal_during_the_import_ends_the_command_in_one_line(
    tmp_path: Path, command: str, number: int, code: int
) -> None:
    marker = tmp_path / "importing"
    (tmp_path / "typer.py").write_text(WAITING_IMPORT.format(marker=str(marker)))
    process = subprocess.Popen(
        [sys.executable, "-m", "gridhaul.embedded", command],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert (output, process.returncode) == ("Interrupted.\n", code)
