"""What supervisord reads: its configuration, the programs' table for `launch.py`, and the place of its socket."""

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
STOP_WAIT_SECONDS = 10  # then it kills
PROGRAMS_FILE = "run/programs.json"
CONFIGURATION_FILE = "run/supervisord.conf"
_ALWAYS = 1_000_000  # what dies at once is started again after 1 s, 2 s, 3 s …; what has run for 1 s, at once
_LOG_BYTES = 20_000_000
_LOG_BACKUPS = 3
_SOCKET_PREFIX = "gridhaul-"
_SHORT_AND_PLAIN = re.compile(r"[A-Za-z0-9_/.-]{1,60}")
_PLAIN = re.compile(r"([^\w@%+=:,./-])")


def write(directory: DataDirectory, programs: Sequence[Program], *, socket: Path) -> None:
    """Write both files, readable by their owner alone. Relative names in them start at the data directory."""
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
    """supervisord's configuration."""
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
            **({"user": "root"} if os.geteuid() == 0 else {}),  # without it root gets a warning
        ),
    ]
    parts += [_program_section(program) for program in programs]
    return "\n".join(parts)


def launch_command(name: str) -> list[str]:
    """What becomes the program, from the data directory."""
    return [sys.executable, "-I", "-S", str(Path(launch.__file__).resolve()), PROGRAMS_FILE, name]


def quote(word: str) -> str:
    """A word of a command line, safe from the shell's rules, from comments, and from `%` expansion."""
    return _PLAIN.sub(r"\\\1", word).replace("%", "%%")


@dataclass(frozen=True)
class SocketDirectory:
    """A private directory with a short name: the path of a socket must have less than 108 bytes.

    The link in the data directory tells the next start what a killed system has left.
    """

    link: Path

    @property
    def file(self) -> Path:
        return self.link.readlink() / "supervisor.sock"

    def make(self) -> None:
        self.remove()
        place = tempfile.gettempdir()
        usual = place if _SHORT_AND_PLAIN.fullmatch(place) else "/tmp"  # noqa: S108 - mkdtemp is private
        self.link.symlink_to(tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir=usual))

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
        stopasgroup="false",  # the children of a worker hear of a stop from their parent
        killasgroup="true",
        redirect_stderr="true",
        stdout_logfile=f"logs/{program.name}.log",
        stdout_logfile_maxbytes=_LOG_BYTES,
        stdout_logfile_backups=_LOG_BACKUPS,
    )


def _section(name: str, **values: object) -> str:
    return "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in values.items()), ""])
