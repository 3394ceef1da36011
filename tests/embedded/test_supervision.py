"""The supervisor: a real supervisord with small programs."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gridhaul.embedded.data_directory import DataDirectory
from gridhaul.embedded.errors import StartFailed
from gridhaul.embedded.leftovers import processes_of
from gridhaul.embedded.programs import Program, Stage
from gridhaul.embedded.supervision import Supervisor

DEADLINE_SECONDS = 20


def sleeper(name: str, stage: Stage) -> Program:
    return Program(name=name, command=("/bin/sleep", "1000"), stage=stage)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_program_is_started_again_and_stopped_one_is_not(directory: DataDirectory) -> None:
    with Supervisor(directory, [sleeper("one", Stage.PEER)]) as supervisor:
        supervisor.start(["one"])
        first = supervisor.statuses()["one"].pid
        os.kill(first, signal.SIGKILL)
        until(lambda: supervisor.statuses()["one"].pid not in {0, first})
        supervisor.stop(["one"])
        assert supervisor.statuses()["one"].was_stopped
        supervisor.start(["one"])
        assert supervisor.statuses()["one"].runs
    assert processes_of(directory.path) == []


def test_stop_is_in_order(directory: DataDirectory) -> None:
    order = directory.path / "order"
    note = "import pathlib, signal, sys\n"
    note += "def end(*_): pathlib.Path(sys.argv[1]).open('a').write(sys.argv[2] + ' '); sys.exit()\n"
    note += "signal.signal(signal.SIGTERM, end); pathlib.Path(sys.argv[3]).touch(); signal.pause()"
    stages = (Stage.DATABASE, Stage.API, Stage.WORKER)
    up = {stage.name: directory.run / f"{stage.name}.up" for stage in stages}
    programs = [
        Program(
            name=stage.name,
            command=(sys.executable, "-c", note, str(order), stage.name, str(up[stage.name])),
            stage=stage,
        )
        for stage in stages
    ]
    with Supervisor(directory, programs) as supervisor:
        supervisor.start(up)
        until(lambda: all(file.exists() for file in up.values()))
    assert order.read_text().split() == ["API", "WORKER", "DATABASE"]


def test_program_that_ends_while_it_starts_is_told_with_its_log(directory: DataDirectory) -> None:
    words = "GRIDHAUL_ROOTS: is not set"
    broken = Program(name="broken", command=("/bin/sh", "-c", f"echo '{words}'; exit 1"))
    with Supervisor(directory, [broken]) as supervisor, pytest.raises(StartFailed, match=words) as caught:
        start_and_check(supervisor, "broken")
    assert str(directory.log("broken")) in str(caught.value)


def start_and_check(supervisor: Supervisor, name: str) -> None:
    """Start the program, wait until it has exited, and let the supervisor check it, which raises StartFailed.

    On a busy machine, the program may exit before `start` returns; then `start` raises the same error.
    """
    supervisor.start([name])
    until(lambda: not supervisor.statuses()[name].runs)
    supervisor.check_first_lives()


def test_killed_supervisord_takes_its_programs_with_it(directory: DataDirectory) -> None:
    with Supervisor(directory, [sleeper("one", Stage.PEER)]) as supervisor:
        supervisor.start(["one"])
        pid = int((directory.run / "supervisord.pid").read_text())
        assert Path(f"/proc/{pid}").exists()
        os.kill(pid, signal.SIGKILL)
        until(lambda: not supervisor.alive)
        until(lambda: not any(process.name() == "sleep" for process in processes_of(directory.path)))
