"""The files of supervisord: its configuration, the table of programs for `launch.py`, and its socket's directory."""

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gridhaul.embedded import environment, launch
from gridhaul.embedded.data_directory import DataDirectory, write_private
from gridhaul.embedded.programs import Program

OWN_NAME = "supervisord"
STOP_WAIT_SECONDS = 10  # after these, supervisord kills the program
PROGRAMS_FILE = "run/programs.json"
CONFIGURATION_FILE = "run/supervisord.conf"
# Restarts without a limit: at once after a run of 1 s or more, else after 1 s, 2 s, 3 s and so on.
_ALWAYS = 1_000_000
_LOG_BYTES = 20_000_000
_LOG_BACKUPS = 3
_SOCKET_PREFIX = "gridhaul-"
_SHORT_AND_PLAIN = re.compile(r"[A-Za-z0-9_/.-]{1,60}")
_PLAIN = re.compile(r"([^\w@%+=:,./-])")


def write(directory: DataDirectory, programs: Sequence[Program], *, socket: Path) -> None:
    """Write the configuration and the table of programs, readable by their owner alone.

    Relative paths in these files start at the data directory.
    """
    own = {
        "command": [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", CONFIGURATION_FILE],
        "environment": environment.base(directory) | {"PYTHONUTF8": "1"},
        "directory": str(directory.path),
        "stale_files": [],
    }
    entries = {OWN_NAME: own} | {program.name: program.launch_entry(directory) for program in programs}
    write_private(directory.path / PROGRAMS_FILE, json.dumps(entries, indent=1))
    write_private(directory.path / CONFIGURATION_FILE, configuration(programs, socket=socket))


def configuration(programs: Sequence[Program], *, socket: Path) -> str:
    """Return the text of supervisord's configuration."""
    parts = [
        _section("unix_http_server", file=socket, chmod="0700"),
        _section("rpcinterface:supervisor", **_RPC_FACTORY),
        _section(
            OWN_NAME,
            logfile=f"logs/{OWN_NAME}.log",
            logfile_maxbytes=_LOG_BYTES,
            logfile_backups=_LOG_BACKUPS,
            pidfile=f"run/{OWN_NAME}.pid",
            childlogdir="logs",
            nocleanup="true",
            **({"user": "root"} if os.geteuid() == 0 else {}),  # without `user`, supervisord warns root
        ),
    ]
    parts += [_program_section(program) for program in programs]
    return "\n".join(parts)


def launch_command(name: str) -> list[str]:
    """Return the command that becomes the program, when run in the data directory."""
    return [sys.executable, "-I", "-S", str(Path(launch.__file__).resolve()), PROGRAMS_FILE, name]


def quote(word: str) -> str:
    """Return a word of a command line, quoted against shell syntax, comments, and the expansion of `%`."""
    return _PLAIN.sub(r"\\\1", word).replace("%", "%%")


@dataclass(frozen=True)
class SocketDirectory:
    """A private directory with a short path, since the path of a unix socket must have less than 108 bytes.

    `link` is in the data directory, so that the next start finds and removes the directory of a killed system.
    """

    link: Path

    @property
    def file(self) -> Path:
        return self.link.readlink() / "supervisor.sock"

    def make(self) -> None:
        self.remove()
        usual = tempfile.gettempdir()
        parent = usual if _SHORT_AND_PLAIN.fullmatch(usual) else "/tmp"  # noqa: S108 - mkdtemp is private
        self.link.symlink_to(tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir=parent))

    def remove(self) -> None:
        if self.link.is_symlink():
            if self.link.readlink().name.startswith(_SOCKET_PREFIX):
                shutil.rmtree(self.link.readlink(), ignore_errors=True)
            self.link.unlink()


_RPC_FACTORY = {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}


def _program_section(program: Program) -> str:
    return _section(
        f"program:{program.name}",
        command=" ".join(map(quote, launch_command(program.name))),
        priority=int(program.stage),
        autostart="false",
        autorestart="true",
        startsecs=1,
        startretries=_ALWAYS,
        stopwaitsecs=STOP_WAIT_SECONDS,
        stopasgroup="false",  # a worker's parent process stops its own children
        killasgroup="true",
        redirect_stderr="true",
        stdout_logfile=f"logs/{program.name}.log",
        stdout_logfile_maxbytes=_LOG_BYTES,
        stdout_logfile_backups=_LOG_BACKUPS,
    )


def _section(name: str, **values: object) -> str:
    return "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in values.items()), ""])
