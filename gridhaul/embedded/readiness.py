"""Signs, visible from outside, that a program is ready."""

import socket
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Protocol

from gridhaul.embedded.network import HOST

FRESH_SECONDS = 15
ANSWER_SECONDS = 5


class Readiness(Protocol):
    """A sign that a program is ready."""

    def holds(self) -> bool:
        """Return whether the sign is visible now. Raises nothing."""


@dataclass(frozen=True)
class Listens:
    """The sign that the port accepts connections."""

    port: int

    def holds(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), timeout=ANSWER_SECONDS).close()
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class AnswersReadyz:
    """The sign that `GET /readyz` answers 200."""

    port: int

    def holds(self) -> bool:
        connection = HTTPConnection(HOST, self.port, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


@dataclass(frozen=True)
class Beats:
    """The sign that the heartbeat file was touched within 15 s. `launch.py` removes the file before each start."""

    file: Path

    def holds(self) -> bool:
        try:
            return time.time() - self.file.stat().st_mtime < FRESH_SECONDS
        except OSError:
            return False


class _Runs:
    def holds(self) -> bool:
        return True


RUNS: Readiness = _Runs()  # a program that counts as ready as soon as its process runs
