"""Programs that tests run as servers: where they are, how they start, and how they end.

program = located("nginx", package="nginx")  # skips the test without the package
with folder_beside(directory) as folder, running([program, "-c", …], port=port, log=folder / "log"):
    …  # the server takes connections
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest

from gridhaul.embedded.network import HOST

START_SECONDS = 20.0
STOP_SECONDS = 10.0
PATH = f"{os.environ['PATH']}:/usr/sbin"  # Debian keeps servers in /usr/sbin, which only root has in its PATH


def located(program: str, *, package: str) -> str:
    """Return the path of the program of a Debian package. Without it the test is skipped, but fails in CI."""
    found = shutil.which(program, path=PATH)
    if found is None:
        skip(f"{program} is not installed (Debian: {package})")
    return found


def skip(reason: str) -> NoReturn:
    """Skip the test because a program is missing."""
    assert os.environ.get("CI") != "true", f"CI must have every program: {reason}"
    pytest.skip(reason)


@contextmanager
def folder_beside(directory: Path) -> Iterator[Path]:
    """Yield a new folder for files of a server, on the file system of the directory that it serves; remove it at exit.

    A server can move a file from there into the directory at once.
    """
    with tempfile.TemporaryDirectory(prefix="server-", dir=directory.parent) as folder:
        yield Path(folder)


@contextmanager
def running(
    command: Sequence[str],
    *,
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
    stop_seconds: float = STOP_SECONDS,
) -> Iterator[None]:
    """Run the server in the foreground, and go on when it takes connections on loopback. End all its processes at exit.

    Its output goes to `log`. Of this process's environment it gets only what is given. Raises RuntimeError if it exits.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={"PATH": PATH, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _wait_until_it_listens(process, port, log)
            yield
        finally:
            _end(process, stop_seconds)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.02)
        else:
            return


def _end(process: subprocess.Popen[bytes], stop_seconds: float) -> None:
    """Ask the server to stop, and kill what is left of its process group `stop_seconds` later."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(stop_seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
