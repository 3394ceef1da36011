"""Becomes one program of `run/programs.json`. Started by its path, with the standard library alone.

`launch.py PROGRAMS NAME`: command lines, environments and directories reach the programs as they are, past the
quoting rules of supervisord's configuration, and every program ends when the process that started it is killed.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def main(programs_file: str, name: str) -> None:
    program = json.loads(Path(programs_file).read_text())[name]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    for stale in program["stale_files"]:
        Path(stale).unlink(missing_ok=True)
    os.chdir(program["directory"])
    os.execve(program["command"][0], program["command"], program["environment"])  # noqa: S606 - the point of it


if __name__ == "__main__":
    main(*sys.argv[1:])
