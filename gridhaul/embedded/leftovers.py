"""Stops the processes that a killed system has left running on its data directory."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "GRIDHAUL_EMBEDDED_DATA"  # variable of every process of a system: the data directory
STOP_SECONDS = 20
KILL_SECONDS = 5
POLL_SECONDS = 0.05


def processes_of(data: Path) -> list[psutil.Process]:
    """Return the processes of the system on `data`, including orphans of killed processes."""
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _belongs(process, data)]


def end_processes(data: Path) -> int:
    """Ask the processes of the system on `data` to stop, and kill those that do not. Return how many were found."""
    found = processes_of(data)
    _signal(found, psutil.Process.terminate)
    _wait(found, STOP_SECONDS)
    stubborn = processes_of(data) if found else []
    _signal(stubborn, psutil.Process.kill)
    _wait(stubborn, KILL_SECONDS)
    return len(found)


def _belongs(process: psutil.Process, data: Path) -> bool:
    try:
        return process.environ().get(MARK) == str(data)
    except (psutil.Error, OSError):
        return False


def _signal(processes: list[psutil.Process], send: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            send(process)


def _wait(processes: list[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(map(_alive, processes)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _alive(process: psutil.Process) -> bool:
    """Return whether the process runs. A zombie counts as stopped: its parent may never reap it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
