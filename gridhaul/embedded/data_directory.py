"""The data directory: what lies where, who may read it, and that one system at a time uses it."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gridhaul.embedded.errors import DirectoryInUse, EmbeddedError
from gridhaul.transfer.credentials import Credential, CredentialKind

SECRET_BYTES = 32
_PRIVATE = ("mongo", "redis", "logs", "run", "secrets")
_OPEN = ("outgoing", "delivered")


@dataclass(frozen=True)
class DataDirectory:
    """A resolved path and the names below it."""

    path: Path

    @property
    def mongo(self) -> Path:
        return self.path / "mongo"

    @property
    def redis(self) -> Path:
        return self.path / "redis"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def outgoing(self) -> Path:
        return self.path / "outgoing"

    @property
    def delivered(self) -> Path:
        return self.path / "delivered"

    @property
    def targets_file(self) -> Path:
        return self.path / "targets.toml"

    @property
    def operator_file(self) -> Path:
        return self.path / "operator.env"

    def log(self, program: str) -> Path:
        return self.path / "logs" / f"{program}.log"

    def heartbeat(self, program: str) -> Path:
        return self.run / f"{program}.heartbeat"

    def secret_file(self, name: str) -> Path:
        return self.path / "secrets" / name

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory. Raises DirectoryInUse if another process does, EmbeddedError if it cannot be made."""
        try:
            self.run.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EmbeddedError(f"The data directory {self.path} cannot be used: {error.strerror}.") from error
        try:
            self._take(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode().strip()
            raise DirectoryInUse(f"Another system (process {holder}) runs on {self.path}. End it first.") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)

    def make(self) -> None:
        """The directories; those with secrets, logs and databases are for their owner alone."""
        for name in _PRIVATE:
            directory = self.path / name
            directory.mkdir(exist_ok=True)
            directory.chmod(0o700)
        for name in _OPEN:
            (self.path / name).mkdir(exist_ok=True)

    def secret(self, name: str) -> str:
        """The secret, made at the first call and on disk before it is given."""
        file = self.secret_file(name)
        if not file.exists():
            write_private(file, secrets.token_urlsafe(SECRET_BYTES))
        return file.read_text().strip()

    def operator_key(self) -> str:
        """The API key of the operator's account, made at the first call and on disk before it is given."""
        file = self.secret_file("operator_key")
        if not file.exists():
            write_private(file, Credential.new(CredentialKind.API_KEY).text)
        return file.read_text().strip()

    def make_targets_file(self, targets_toml: str | None) -> None:
        """Write what is given. Without it a file that is there stays, else one directory target is configured."""
        if targets_toml is not None:
            write_private(self.targets_file, targets_toml)
        elif not self.targets_file.exists():
            path = json.dumps(str(self.delivered), ensure_ascii=False)  # JSON's escapes are TOML's as well
            write_private(self.targets_file, f'[targets.delivered]\nkind = "directory"\npath = {path}\n')


def write_private(file: Path, text: str) -> None:
    """Make or replace the file, readable by its owner alone; whole and on disk when this returns."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(descriptor)
    temporary.replace(file)
