"""Runs the commands that make the database's user and the first account."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from gridhaul.embedded import environment
from gridhaul.embedded.data_directory import DataDirectory
from gridhaul.embedded.errors import StartFailed
from gridhaul.embedded.programs import PROJECT
from gridhaul.process.settings import PREFIX

DATABASE_USER = "gridhaul.storage.bootstrap"
FIRST_ACCOUNT = "api.admin"
OPERATOR = "operator"
PREPARE_SECONDS = 60
POLL_SECONDS = 0.1


def prepare_database(
    directory: DataDirectory, settings: Mapping[str, str], *, mongo_url: str, meanwhile: Callable[[], None]
) -> None:
    """Make the database's user, then the operator's account with the key and the password of the data directory.

    The files of both must exist. An account that has a password keeps it.

    `meanwhile` is called every 0.1 s. Raises StartFailed with the last line that a failed command prints on stderr.
    """
    with_url = environment.overridden(settings, {PREFIX + "MONGO_URL": mongo_url})
    key_file, password_file = (str(directory.secret_file(f"operator_{name}")) for name in ("key", "password"))
    _run(directory, with_url, (DATABASE_USER,), meanwhile)
    account = (FIRST_ACCOUNT, OPERATOR, "--key-file", key_file, "--password-file", password_file)
    _run(directory, with_url, account, meanwhile)


def _run(
    directory: DataDirectory, settings: Mapping[str, str], arguments: Sequence[str], meanwhile: Callable[[], None]
) -> None:
    process = subprocess.Popen(  # noqa: S603 - the arguments are constants and our own paths
        [sys.executable, "-m", *arguments],
        cwd=PROJECT,
        env=environment.base(directory) | dict(settings),
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
