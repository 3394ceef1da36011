"""Becomes one program of `run/programs.json`: `launch.py PROGRAMS NAME`.

The JSON file passes command lines, environments and directories to the programs unchanged; supervisord's configuration
would need quoting. The kernel sends every program a SIGTERM when the process that started it dies. This file is run by
its path, so it imports only the standard library.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PARENT = "LAUNCHED_BY"  # environment variable: the pid of the process that must be alive


def main(programs_file: str, name: str) -> None:
    program = json.loads(Path(programs_file).read_text())[name]
    die_with_parent()
    for stale in program["stale_files"]:
        Path(stale).unlink(missing_ok=True)
    os.chdir(program["directory"])
    environment = program["environment"] | {PARENT: str(os.getpid())}
    os.execve(program["command"][0], program["command"], environment)  # noqa: S606 - this process becomes the program


def die_with_parent() -> None:
    """Have the kernel send a SIGTERM when the parent dies. Exit if the parent has already died."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(os.environ[PARENT]):
        sys.exit("The process that started this program has stopped.")


if __name__ == "__main__":
    main(*sys.argv[1:])
