"""Runs supervisord as a child process, and calls supervisord over a unix socket."""

import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from xmlrpc.client import Error as RpcError
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from gridhaul.embedded import launch, supervisor_files
from gridhaul.embedded.data_directory import DataDirectory
from gridhaul.embedded.errors import NotRunning, StartFailed
from gridhaul.embedded.programs import Program, Stage
from gridhaul.embedded.supervisor_files import OWN_NAME, STOP_WAIT_SECONDS, SocketDirectory

POLL_SECONDS = 0.05
ANSWER_SECONDS = 20
STOP_SECONDS = STOP_WAIT_SECONDS + 5
LOG_LINES = 20
_STOPPED = (OSError, HTTPException, RpcError)  # a call raises these when supervisord has stopped


@dataclass(frozen=True)
class Status:
    """The state and the pid of a program, as supervisord reports them."""

    state: str
    pid: int  # 0 while the program does not run

    @property
    def runs(self) -> bool:
        return self.pid != 0 and self.state in {"STARTING", "RUNNING"}

    @property
    def was_stopped(self) -> bool:
        """Return whether the program was stopped on purpose, or never started.

        supervisord restarts a program that dies by itself.
        """
        return self.state == "STOPPED"


class Supervisor:
    """A supervisord that knows all programs, and starts them on request. Leaving the context stops them in order.

    The thread that enters the context must live as long as the system: Linux sends the parent-death signal to
    supervisord when that thread exits (PR_SET_PDEATHSIG in prctl(2)).
    """

    def __init__(self, directory: DataDirectory, programs: Sequence[Program]) -> None:
        self._directory = directory
        self._programs = programs
        self._socket = SocketDirectory(directory.run / "socket")
        self._first_pids: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._socket.make()
        supervisor_files.write(self._directory, self._programs, socket=self._socket.file)
        with self._directory.log(f"{OWN_NAME}-stderr").open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - the arguments are our own
                supervisor_files.launch_command(OWN_NAME),
                cwd=self._directory.path,
                env={launch.PARENT: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,  # a terminal's Ctrl-C must not reach supervisord: `__exit__` stops all in order
            )
        try:
            self._wait_for_answer()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with suppress(*_STOPPED):
                for stage in reversed(Stage):
                    self.stop(program.name for program in self._programs if program.stage is stage)
                self._call("shutdown")
        finally:
            self._end()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def start(self, names: Iterable[str]) -> None:
        """Start programs. Raises StartFailed if supervisord cannot start one."""
        for name in names:
            try:
                self._call("startProcess", name, False)
            except Fault as fault:
                if fault.faultCode != Faults.ALREADY_STARTED:
                    raise self._failed(name) from fault
            self._first_pids[name] = self.statuses()[name].pid

    def stop(self, names: Iterable[str]) -> None:
        """Stop programs at the same time, and wait until they have stopped. Raises NotRunning if one does not stop."""
        waiting = set(names)
        asked: set[str] = set()
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            statuses = self.statuses()
            waiting = {name for name in waiting if not statuses[name].was_stopped}
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise NotRunning(f"{', '.join(sorted(waiting))}: did not stop within {STOP_SECONDS} s.")
            for name in waiting - asked:
                with suppress(Fault):  # a program between two starts cannot be stopped yet; the next pass asks again
                    self._call("stopProcess", name, False)
                    asked.add(name)
            time.sleep(POLL_SECONDS)

    def statuses(self) -> dict[str, Status]:
        """Return the status of each program, by name."""
        rows: list[dict[str, Any]] = self._call("getAllProcessInfo")
        return {row["name"]: Status(state=row["statename"], pid=row["pid"]) for row in rows}

    def check_first_lives(self) -> None:
        """Raise StartFailed, with the end of the log, if a program has stopped or restarted since `start`."""
        statuses = self.statuses()
        for name, pid in self._first_pids.items():
            if not statuses[name].runs or statuses[name].pid != pid:
                raise self._failed(name)

    def _failed(self, name: str) -> StartFailed:
        log = self._directory.log(name)
        return StartFailed(f"{name} stopped while it was starting. The end of its log, {log}:\n{_last_lines(log)}")

    def _call(self, method: str, *arguments: object) -> Any:
        """Call a method over a new connection, so that threads do not share a connection."""
        transport = SupervisorTransport(None, None, f"unix://{self._socket.file}")
        with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    def _wait_for_answer(self) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                self._call("getState")
            except _STOPPED as error:
                if not self.alive or time.monotonic() > deadline:
                    raise self._failed(f"{OWN_NAME}-stderr") from error
            else:
                return
            time.sleep(POLL_SECONDS)

    def _end(self) -> None:
        for stop in (self._process.terminate, self._process.kill):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
                break
            stop()
        self._process.wait()
        self._socket.remove()


def _last_lines(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError as error:
        return str(error.strerror)
    return "\n".join(lines[-LOG_LINES:])
