"""The demo: start the system and a remote server, and send one file with the command `gridhaul send`."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import typer

from gridhaul.embedded import binaries, environment, network
from gridhaul.embedded.configuration import Configuration
from gridhaul.embedded.data_directory import DataDirectory
from gridhaul.embedded.errors import UsageProblem
from gridhaul.embedded.leftovers import end_processes
from gridhaul.embedded.network import HOST
from gridhaul.embedded.programs import PROJECT, Program
from gridhaul.embedded.readiness import Listens
from gridhaul.embedded.system import System
from gridhaul.embedded.terminal import running

DEMO_BYTES = 64 << 20
BLOCK_BYTES = 1 << 20
REMOTE = "remote"
REMOTE_USER = "demo"
MARK_FILE = "made-by-gridhaul-demo"


def demonstrate(file: Path | None, configuration: Configuration) -> int:
    """Send the file to a remote server that the demo starts; return the exit code of `gridhaul send`.

    If `file` is None, 64 MiB of random bytes are sent. The demo replaces the configuration's roots, targets and
    programs by its own. Raises EmbeddedError.
    """
    directory = DataDirectory(configuration.data.resolve())
    checked_file = None if file is None else check_file(file, directory.path)
    rclone = binaries.locate([binaries.rclone()])["rclone"]
    empty(directory)
    sent = make_file(directory.outgoing / "demo.bin") if checked_file is None else checked_file
    port = network.free_ports(1)[0]
    demo_configuration = replace(
        configuration,
        roots=(sent.parent,),
        targets_toml=targets(directory, port),
        extra_programs=(remote(rclone, directory, port),),
    )
    try:
        with running(demo_configuration) as system:
            typer.echo(f"file    {sent}\nremote  {directory.path / REMOTE} (rclone serve webdav; kept, to compare)")
            return _send(sent, system)
    finally:
        for database in (directory.mongo, directory.redis):
            shutil.rmtree(database, ignore_errors=True)


def check_file(file: Path, data: Path) -> Path:
    """Return the path with links followed. Raises UsageProblem if the file is unreadable or lies in `data`."""
    resolved = file.resolve()
    if not resolved.is_file() or not os.access(resolved, os.R_OK):
        raise UsageProblem(f"{file} is not a file that can be read.")
    if resolved.is_relative_to(data):
        raise UsageProblem(f"{file} lies in {data}, which is emptied at each start.")
    return resolved


def empty(directory: DataDirectory) -> None:
    """Remove everything that an earlier demo left.

    Raises UsageProblem if the directory holds anything that no demo made, DirectoryInUse if a system runs on it.
    """
    mark = directory.path / MARK_FILE
    if directory.path.exists() and any(directory.path.iterdir()) and not mark.exists():
        raise UsageProblem(f"{directory.path} is not empty, and was not made by a demo: choose another directory.")
    with directory.lock():
        end_processes(directory.path)
        mark.touch()
        for child in [*directory.path.iterdir(), *directory.run.iterdir()]:
            if child.name in {"run", "lock", MARK_FILE}:
                continue
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()
        directory.make()
        (directory.path / REMOTE).mkdir(mode=0o700)


def make_file(file: Path) -> Path:
    """Fill the file with 64 MiB of random bytes, and return its path."""
    with file.open("wb") as out:
        for _ in range(DEMO_BYTES // BLOCK_BYTES):
            out.write(os.urandom(BLOCK_BYTES))
    return file


def targets(directory: DataDirectory, port: int) -> str:
    """Make the remote's password on disk, and return the text of a targets file with the remote."""
    directory.secret("remote_password")
    password_file = json.dumps(str(directory.secret_file("remote_password")), ensure_ascii=False)
    return (
        f'[targets.{REMOTE}]\nkind = "webdav"\nurl = "http://{HOST}:{port}/"\n'
        f'username = "{REMOTE_USER}"\npassword = {{ file = {password_file} }}\n'
    )


def remote(rclone: Path, directory: DataDirectory, port: int) -> Program:
    """Return the program of the remote server.

    The server gets its password through its environment, since everybody can read its command line.
    """
    served = str(directory.path / REMOTE)
    return Program(
        name=REMOTE,
        command=(str(rclone), "serve", "webdav", served, "--addr", f"{HOST}:{port}", "--config", ""),
        environment={"RCLONE_USER": REMOTE_USER, "RCLONE_PASS": directory.secret("remote_password")},
        ready=Listens(port),
    )


def _send(file: Path, system: System) -> int:
    command = [sys.executable, "-m", "gridhaul.cli", "send", str(file), "--to", REMOTE]
    access = {"GRIDHAUL_URL": system.url, "GRIDHAUL_TOKEN": system.token}
    return subprocess.run(command, cwd=PROJECT, env=environment.inherited() | access, check=False).returncode  # noqa: S603
