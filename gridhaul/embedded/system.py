"""Starts, watches and stops the whole system, as real processes on loopback."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from gridhaul.embedded import binaries, bootstrap, plan
from gridhaul.embedded.configuration import Configuration
from gridhaul.embedded.data_directory import DataDirectory, write_private
from gridhaul.embedded.errors import NotReady, NotRunning
from gridhaul.embedded.leftovers import end_processes
from gridhaul.embedded.programs import Program, Stage
from gridhaul.embedded.supervision import POLL_SECONDS, Supervisor

__all__ = ["Configuration", "Program", "Stage", "System"]

START_SECONDS = 120


class System:
    """An embedded system, which runs while its context is entered.

    Entering the context raises EmbeddedError if the system does not start; no process is left running then. `url`,
    `token` and the other addresses are set once the context is entered.
    """

    roots: tuple[Path, ...]
    url: str
    token: str
    operator_password: str
    chunk_service_url: str
    mongo_url: str
    redis_url: str
    service_secret: str

    def __init__(self, configuration: Configuration, *, report: Callable[[str], object] = lambda _: None) -> None:
        self._configuration = configuration
        self._report = report
        self._directory = DataDirectory(configuration.data.resolve())
        self.data = self._directory.path

    def __enter__(self) -> Self:
        self._configuration.check_roots()
        found = binaries.locate(plan.needed_binaries(self._configuration))
        with ExitStack() as stack:
            self._claim_directory(stack)
            addresses = plan.choose_addresses(self._configuration, self._directory)
            self._programs = plan.list_programs(self._configuration, self._directory, addresses=addresses, found=found)
            self._publish(addresses)
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._report("stopping")
        self._stack.close()

    @property
    def alive(self) -> bool:
        """Return whether supervisord runs. supervisord restarts programs that die, but nothing restarts supervisord."""
        return self._supervisor.alive

    def pid(self, name: str) -> int:
        """Return the process id of a program. Raises NotRunning."""
        status = self._supervisor.statuses()[name]
        if not status.runs:
            raise NotRunning(f"{name} does not run ({status.state}).")
        return status.pid

    def stop_program(self, name: str) -> None:
        """Stop the program, and wait until it has stopped. Only `start_program` starts it again."""
        self._supervisor.stop([name])

    def start_program(self, name: str) -> None:
        """Start the program's process. `wait_ready` waits until the program is ready."""
        self._supervisor.start([name])

    def wait_ready(self, *, timeout_seconds: float = START_SECONDS) -> None:
        """Wait until every program runs and is ready, except those stopped with `stop_program`. Raises NotReady."""
        self._wait_ready(timeout_seconds, lambda: None)

    def _claim_directory(self, stack: ExitStack) -> None:
        stack.enter_context(self._directory.lock())
        end_processes(self.data)
        stack.callback(end_processes, self.data)  # supervisord does not know orphans of killed programs
        self._directory.make()
        self._directory.make_targets_file(self._configuration.targets_toml)

    def _publish(self, addresses: plan.Addresses) -> None:
        self.roots = plan.effective_roots(self._configuration, self._directory)
        self.url = addresses.url
        self.chunk_service_url = addresses.chunk_service_url
        self.mongo_url = addresses.mongo_url
        self.redis_url = addresses.redis_url
        self.token = self._directory.operator_key()
        self.operator_password = self._directory.operator_password()
        self.service_secret = self._directory.secret("service_secret")
        operator = f"GRIDHAUL_URL={self.url}\nGRIDHAUL_TOKEN={self.token}\n"
        write_private(self._directory.operator_file, operator)

    def _start(self, stack: ExitStack) -> None:
        self._report("starting the databases")
        self._supervisor = stack.enter_context(Supervisor(self._directory, self._programs))
        check = self._supervisor.check_first_lives
        self._supervisor.start(program.name for program in self._programs if program.stage <= Stage.PEER)
        settings = self._configuration.environment
        bootstrap.prepare_database(self._directory, settings, mongo_url=self.mongo_url, meanwhile=check)
        self._report("starting the services")
        self._supervisor.start(program.name for program in self._programs if program.stage > Stage.PEER)
        self._wait_ready(START_SECONDS, check)

    def _wait_ready(self, timeout_seconds: float, meanwhile: Callable[[], None]) -> None:
        deadline = time.monotonic() + timeout_seconds
        while (waiting_for := self._not_ready()) is not None:
            meanwhile()
            if time.monotonic() > deadline:
                log = self._directory.log(waiting_for)
                raise NotReady(f"{waiting_for} is not ready after {timeout_seconds} s. Its log is {log}.")
            time.sleep(POLL_SECONDS)

    def _not_ready(self) -> str | None:
        statuses = self._supervisor.statuses()
        for program in self._programs:
            status = statuses[program.name]
            if not status.was_stopped and not (status.runs and program.ready.holds()):
                return program.name
        return None
