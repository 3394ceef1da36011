"""Folders at SFTP servers, and targets that write there."""

import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gridhaul.targets.sftp.target import SftpTarget
from gridhaul.targets.targets_file import load_targets
from gridhaul.transfer.model import Stage
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import Confirmed, Facts
from tests.servers.sshd import SshServer
from tests.targets.peers import MIB, SCRATCH, SomeBlocks, may_write, untold

PART = ".gridhaul-0123456789abcdef01234567-7.part"
SEVERAL_MIB = os.urandom(5 * MIB + 3)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder at a server."""

    server: SshServer
    key: Path  # the private key of the user
    directory: Path  # where the folder is on this machine
    unused: list[str] = field(default_factory=list, repr=False)  # folders that were made before the server started
    path: str = "."  # of the folder, as the server's users find it

    def inner(self) -> "Place":
        """Return a folder of this one that no test has used yet."""
        name = self.unused.pop()
        return replace(self, directory=self.directory / name, path=name)

    def section(self, **more: Any) -> str:
        """Return the lines of `targets.toml` for a target; `more` are values that replace these."""
        values = {
            "kind": "sftp",
            "host": self.server.host,
            "port": self.server.port,
            "username": self.server.user,
            "path": self.path,
            "host_key": self.server.host_key,
            "private_key": {"file": str(self.key)},
            **more,
        }
        lines = "".join(f"{key} = {_toml(value)}\n" for key, value in values.items() if value is not None)
        return f"[targets.there]\n{lines}"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int) else f'"{value}"'


class Targets:
    """Makes targets as a process makes them: from a targets file."""

    def __init__(self, file: Path, seen: dict[str, Facts]) -> None:
        self._file = file
        self._seen = seen  # the facts of servers that were probed
        self._made: list[SftpTarget] = []

    def unprobed(self, section: str) -> SftpTarget:
        """Return the target of the section."""
        self._file.write_text(section)
        target = load_targets(self._file).get("there")
        assert isinstance(target, SftpTarget)
        self._made.append(target)
        return target

    async def probed(self, section: str) -> SftpTarget:
        """Return the target of the section, which relies on what a probe saw of its server."""
        target = self.unprobed(section)
        server = _server_of(section)
        if server not in self._seen:
            self._seen[server] = await target.probe(SCRATCH, may_write)
        assert target.rely_on(self._seen[server])
        return target

    async def close(self) -> None:
        for target in self._made:
            await target.close()


def stage_of(data: bytes, *, final_name: str = "run.bin", generation: int = 7) -> Stage:
    """Return a new stage for the data, beside the final name."""
    folder, slash, _ = final_name.rpartition("/")
    return Stage(name=f"{folder}{slash}{PART}", final_name=final_name, generation=generation, length=len(data))


def _server_of(section: str) -> str:
    """Return the lines of the section that tell the server, and what it may do."""
    return "".join(line for line in section.splitlines(True) if line.startswith(("host", "port", "remote_command")))


async def unconfirmed(_: Stage) -> None:
    """Take note of nothing."""


async def stage(
    target: SftpTarget,
    data: bytes,
    *,
    final_name: str = "run.bin",
    confirmed: Confirmed = unconfirmed,
    attributes: Attributes | None = None,
) -> Stage:
    """Write a whole stage with the data."""
    begun = await target.begin(stage_of(data, final_name=final_name))
    return await target.write(begun, SomeBlocks(data), leaving=untold, confirmed=confirmed, attributes=attributes)


async def put(target: SftpTarget, name: str, data: bytes) -> None:
    """Deliver the data under the name."""
    await target.commit(await stage(target, data, final_name=name))


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
