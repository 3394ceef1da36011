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
PARENT = "LAUNCHED_BY"  # in the environment: the process that must be alive


def main(programs_file: str, name: str) -> None:
    program = json.loads(Path(programs_file).read_text())[name]
    die_with_parent()
    for stale in program["stale_files"]:
        Path(stale).unlink(missing_ok=True)
    os.chdir(program["directory"])
    environment = program["environment"] | {PARENT: str(os.getpid())}
    os.execve(program["command"][0], program["command"], environment)  # noqa: S606 - the point of it


def die_with_parent() -> None:
    """Get a SIGTERM when the parent is gone. It may have gone before: then we are someone else's child already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(os.environ[PARENT]):
        sys.exit("The process that started this one has ended.")


if __name__ == "__main__":
    main(*sys.argv[1:])
