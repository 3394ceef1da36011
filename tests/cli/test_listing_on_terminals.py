"""`gridhaul ls` with its stdout on a terminal."""

import os
import pty
import subprocess
import sys
import termios

import pytest
from rich.cells import cell_len

from tests.cli.scripted_api import FILE_ID, ScriptedApi, file
from tests.cli.terminals import read_all
from tests.cli.test_listing import DELIVERIES, FILES, LOST, deliveries, files


@pytest.mark.parametrize("columns", [80, 120])
def test_table_fits_the_terminal_with_local_times(api: ScriptedApi, columns: int) -> None:
    long = "测" * 85
    api.script(FILES, files(file("STORED", name=long, file_path=f"/srv/{long}"), file("PAUSED", name="a\x1b[2Jb")))
    api.script(DELIVERIES, deliveries())
    api.script(LOST, deliveries())
    lines = drawn(columns)
    assert max(cell_len(line) for line in lines) <= columns
    assert sum(FILE_ID in line for line in lines) == 2
    assert "2026-11-21 05:00" in "".join(lines)
    assert "a\\x1b[2Jb" in "".join(lines)


def drawn(columns: int) -> list[str]:
    """Return the lines that `gridhaul ls` writes to a terminal of that many columns."""
    test_end, command_end = pty.openpty()
    termios.tcsetwinsize(command_end, (24, columns))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-m", "gridhaul.cli", "ls"]
    with subprocess.Popen(command, stdout=command_end, env=environment | {"TZ": "UTC-2", "TERM": "xterm"}) as process:
        os.close(command_end)
        text = read_all(test_end)
    os.close(test_end)
    assert process.returncode == 0
    return text.splitlines()
