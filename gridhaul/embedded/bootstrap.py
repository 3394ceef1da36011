"""Runs the command that makes the database's user, collections and indexes."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from gridhaul.embedded import environment
from gridhaul.embedded.data_directory import DataDirectory
from gridhaul.embedded.errors import StartFailed
from gridhaul.embedded.programs import PROJECT
from gridhaul.settings import PREFIX

MODULE = "gridhaul.storage.bootstrap"
PREPARE_SECONDS = 60
POLL_SECONDS = 0.1


def prepare_database(
    directory: DataDirectory, settings: Mapping[str, str], *, mongo_url: str, meanwhile: Callable[[], None]
) -> None:
    """Run it to its end, calling `meanwhile` all along. Raises StartFailed with what it says."""
    own = {
        PREFIX + "MONGO_URL": mongo_url,
        PREFIX + "SERVICE_SECRET_FILE": str(directory.secret_file("service_secret")),
    }
    process = subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-m", MODULE],
        cwd=PROJECT,
        env=environment.base(directory) | environment.overridden(settings, own),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            errors = _wait(process, meanwhile)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        lines = errors.strip().splitlines() or [f"exit code {process.returncode}"]
        raise StartFailed(f"The database could not be prepared: {lines[-1]}")


def _wait(process: subprocess.Popen[str], meanwhile: Callable[[], None]) -> str:
    deadline = time.monotonic() + PREPARE_SECONDS
    while time.monotonic() < deadline:
        try:
            return process.communicate(timeout=POLL_SECONDS)[1]
        except subprocess.TimeoutExpired:
            meanwhile()
    raise StartFailed(f"The database was not prepared within {PREPARE_SECONDS} s.")
