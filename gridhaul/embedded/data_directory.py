"""The data directory: its layout, its permissions, its secrets, and the lock that one system at a time holds."""

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
_PRIVATE = ("mongo", "redis", "logs", "run", "secrets", "delivered")


@dataclass(frozen=True)
class DataDirectory:
    """The resolved path of a data directory, and the paths below it."""

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
        """Hold the directory's lock.

        Raises DirectoryInUse if another process holds the lock, EmbeddedError if the directory cannot be used.
        """
        try:
            self.run.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EmbeddedError(f"The data directory {self.path} cannot be used: {error.strerror}.") from error
        try:
            self._take_lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _take_lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode().strip()
            raise DirectoryInUse(
                f"Another system (process {holder}) runs on {self.path}. Stop that system first."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)

    def make(self) -> None:
        """Make the directories, which only their owner can access. Restrict directories that exist, except `outgoing`.

        An operator may have given others access to `outgoing`, so that they can put files there.
        """
        for name in _PRIVATE:
            directory = self.path / name
            directory.mkdir(exist_ok=True)
            directory.chmod(0o700)
        self.outgoing.mkdir(exist_ok=True, mode=0o700)

    def secret(self, name: str) -> str:
        """Return the secret. The first call makes the secret, and writes it to disk before returning it."""
        file = self.secret_file(name)
        if not file.exists():
            write_private(file, secrets.token_urlsafe(SECRET_BYTES))
        return file.read_text().strip()

    def operator_key(self) -> str:
        """Return the API key of the operator's account. The first call makes the key, and writes it to disk first."""
        file = self.secret_file("operator_key")
        if not file.exists():
            write_private(file, Credential.new(CredentialKind.API_KEY).text)
        return file.read_text().strip()

    def operator_password(self) -> str:
        """Return the password that the operator's account gets if it has none. The first call makes the password."""
        return self.secret("operator_password")

    def make_targets_file(self, targets_toml: str | None) -> None:
        """Write `targets_toml`. If it is None, keep an existing file, or write one with a single directory target."""
        if targets_toml is not None:
            write_private(self.targets_file, targets_toml)
        elif not self.targets_file.exists():
            path = json.dumps(str(self.delivered), ensure_ascii=False)  # a JSON string is also a TOML string
            write_private(self.targets_file, f'[targets.delivered]\nkind = "directory"\npath = {path}\n')


def write_private(file: Path, text: str) -> None:
    """Make or replace the file atomically, readable by its owner alone, with its text on disk."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(descriptor)
    temporary.replace(file)
