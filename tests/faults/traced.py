"""System calls of running processes that fail or take their time: `strace` does it."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.faults.catalogue import NotAllowed
from tests.faults.world import wait_for

ATTACHED_SECONDS = 20
LETS_GO_SECONDS = 5


@contextmanager
def injecting(processes: Sequence[psutil.Process], *, calls: str, what: str) -> Iterator[None]:
    """`what` is done to these system calls of their threads, in the words of strace(1). Raises NotAllowed."""
    strace = shutil.which("strace")
    if strace is None:
        raise NotAllowed("there is no strace")
    inject = ("-e", f"trace={calls}", "-e", f"inject={calls}:{what}")
    pids = [word for process in processes for word in ("-p", str(process.pid))]
    command = (strace, "-f", "-qq", "-o", os.devnull, *inject, *pids)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as tracer:
        try:
            _wait_until_attached(tracer, processes)
            yield
        finally:
            _let_go(tracer)


def _let_go(tracer: "subprocess.Popen[bytes]") -> None:
    """It lets go of them; where it waits for one that was killed, the kernel does it."""
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
        return all(_traced_by(process) == tracer.pid for process in processes)

    wait_for(attached, seconds=ATTACHED_SECONDS, what="strace has attached")


def _traced_by(process: psutil.Process) -> int:
    """The least of what its threads say: 0 while one of them is not traced."""
    tasks = Path(f"/proc/{process.pid}/task").glob("*/status")
    lines = [line for task in tasks for line in task.read_text().splitlines() if line.startswith("TracerPid:")]
    return min(int(line.split()[1]) for line in lines)
