"""System calls of running processes that `strace` makes fail or take long."""

import os
import re
import shutil
import subprocess
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.faults.catalogue import NotAllowed
from tests.faults.world import wait_for

ATTACHED_SECONDS = 20
LETS_GO_SECONDS = 5


@contextmanager
def injecting(
    processes: Sequence[psutil.Process], *, calls: str, effect: str, log: Path = Path(os.devnull)
) -> Iterator[None]:
    """Apply `effect`, in the words of strace(1), to these system calls of all threads of the processes.

    Processes that they start meanwhile are included. `log` gets a line for each call, with the paths of its files.
    Raises NotAllowed.
    """
    strace = shutil.which("strace")
    if strace is None:
        raise NotAllowed("strace is not installed")
    inject = ("-e", f"trace={calls}", "-e", f"inject={calls}:{effect}")
    pids = [word for process in processes for word in ("-p", str(process.pid))]
    command = (strace, "-f", "-qq", "-y", "-s0", "-o", str(log), *inject, *pids)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as tracer:
        try:
            _wait_until_attached(tracer, processes)
            yield
        finally:
            _let_go(tracer)


def returned(log: Path, *, of: str, but: Container[int]) -> int:
    """Return the sum of what the calls in the log have returned whose arguments have the text `of`.

    Calls of the threads in `but` are left out. A call whose line says "unfinished" ends in a later line of its thread.
    """
    total, begun = 0, dict[str, str]()
    for line in log.read_text().splitlines():
        thread, call = line.split(maxsplit=1)
        if call.endswith("<unfinished ...>"):
            begun[thread] = call
            continue
        arguments = begun.pop(thread, "") if call.startswith("<...") else call
        value = re.search(r" = (\d+)(?: \(|$)", call)
        if value and of in arguments and int(thread) not in but:
            total += int(value[1])
    return total


def _let_go(tracer: "subprocess.Popen[bytes]") -> None:
    """Detach strace from the processes. Kill strace if it waits for a killed process: then the kernel detaches."""
    tracer.terminate()
    try:
        tracer.wait(LETS_GO_SECONDS)
    except subprocess.TimeoutExpired:
        tracer.kill()


def _wait_until_attached(tracer: "subprocess.Popen[bytes]", processes: Sequence[psutil.Process]) -> None:
    def attached() -> bool:
        if tracer.poll() is not None:
            reason = tracer.stderr.read().decode(errors="replace").strip() if tracer.stderr else ""
            raise NotAllowed(f"strace may not attach: {reason[-200:]}")
        return all(_tracers(process) <= {tracer.pid} for process in processes)

    wait_for(attached, seconds=ATTACHED_SECONDS, what="strace has attached")


def _tracers(process: psutil.Process) -> set[int]:
    """Return the ids of the processes that trace a thread of the process, with 0 for a thread that nobody traces.

    Threads that have ended count for nothing: a worker may replace a child at any time.
    """
    found = set[int]()
    for status in Path(f"/proc/{process.pid}/task").glob("*/status"):
        with suppress(FileNotFoundError, ProcessLookupError):
            lines = status.read_text().splitlines()
            found |= {int(line.split()[1]) for line in lines if line.startswith("TracerPid:")}
    return found
