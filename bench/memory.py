"""Peak resident memory of processes, as Linux counts it (VmHWM in proc_pid_status(5))."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from gridhaul.embedded.system import System

OURS = ("api", "chunk_service", "worker_small", "worker_large")
SERVERS = ("mongod", "redis")
FORGET_PEAK = "5"
KIB_IN_MIB = 1 << 10

Peaks = Mapping[str, float]  # MiB of the process with the highest peak, by program


def forget_peaks(system: System) -> None:
    """Reset the peak of each process to its current resident memory (clear_refs in proc(5))."""
    for name in OURS + SERVERS:
        for process in _processes(system, name):
            _of_process(process, "clear_refs").write_text(FORGET_PEAK)


def peaks(system: System) -> Peaks:
    return {name: max(map(peak_mib, _processes(system, name))) for name in OURS + SERVERS}


def highest(found: Peaks) -> float:
    """Return the highest peak of Gridhaul's own processes, in MiB."""
    return max(found[name] for name in OURS)


def _processes(system: System, name: str) -> list[psutil.Process]:
    """Return the program's process and all its descendants."""
    parent = psutil.Process(system.pid(name))
    return [parent, *parent.children(recursive=True)]


def peak_mib(process: psutil.Process) -> float:
    """Return the peak of one process in MiB; 0 if the process has stopped."""
    with suppress(FileNotFoundError):  # the process has stopped
        found = re.search(r"VmHWM:\s+(\d+) kB", _of_process(process, "status").read_text())
        if found:
            return int(found.group(1)) / KIB_IN_MIB
    return 0.0


def _of_process(process: psutil.Process, name: str) -> Path:
    return Path(f"/proc/{process.pid}/{name}")
