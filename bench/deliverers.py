"""Processes like a worker's children that make the deliveries of stored files together."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TextIO

from bench.errors import TransferFailed
from gridhaul.embedded.programs import PROJECT
from gridhaul.embedded.supervisor_files import PROGRAMS_FILE
from gridhaul.embedded.system import System

CHILDREN = 2
LOG = "delivering.log"  # in the data directory


class Deliverers:
    """The processes, each with its part of the deliveries, which wait to begin."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def deliver(self) -> None:
        """Let the processes make all deliveries. Raises TransferFailed."""
        for process in self._processes:
            _say(process, "")
        for process in self._processes:
            _expect(process, "delivered")


@contextmanager
def deliverers(system: System, file_ids: Sequence[str], *, folder: str) -> Iterator[Deliverers]:
    """Yield the processes once the deliveries into the folder exist."""
    programs = json.loads((system.data / PROGRAMS_FILE).read_text())
    environment = programs["worker_small"]["environment"]
    command = [sys.executable, "-m", "bench.delivering", folder]
    with ExitStack() as stack:
        log = stack.enter_context((system.data / LOG).open("a"))
        processes = [stack.enter_context(_started(command, environment, log)) for _ in range(CHILDREN)]
        for number, process in enumerate(processes):
            _say(process, json.dumps(file_ids[number::CHILDREN]))
        for process in processes:
            _expect(process, "made")
        yield Deliverers(processes)


@contextmanager
def _started(command: Sequence[str], environment: dict[str, str], log: TextIO) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603
        command, env=environment, cwd=PROJECT, stdin=pipe, stdout=pipe, stderr=log, text=True
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None  # noqa: S101
            process.stdin.close()  # a process that still waits for its next line ends


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None  # noqa: S101
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def _expect(process: subprocess.Popen[str], wanted: str) -> None:
    """Read lines, which may be of the log, until the wanted one. Raises TransferFailed at the end."""
    assert process.stdout is not None  # noqa: S101
    for line in process.stdout:
        if line.strip() == wanted:
            return
    raise TransferFailed(f"A process that delivers has ended before it said {wanted!r}.")
