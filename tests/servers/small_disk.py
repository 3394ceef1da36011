"""A real `mongod` on a small disk that a test can fill: a tmpfs in a private mount namespace, without root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.mongod import Mongod, mongod_within

MOUNT = 'mount -t tmpfs -o size="$0" tmpfs "$1" && shift && exec "$@"'


@dataclass(frozen=True, kw_only=True)
class SmallDisk:
    mongod: Mongod

    @property
    def free_bytes(self) -> int:
        status = os.statvfs(self._inside)
        return status.f_bavail * status.f_frsize

    def fill(self, *, leaving: int) -> None:
        """Grow a file on the disk until only `leaving` bytes are free."""
        with (self._inside / "ballast").open("ab") as ballast:
            length = ballast.tell()
            os.posix_fallocate(ballast.fileno(), length, self.free_bytes - leaving)

    def make_room(self) -> None:
        """Remove the file that fills the disk."""
        (self._inside / "ballast").unlink()

    @property
    def _inside(self) -> Path:
        """Return the path of the disk inside the server's mount namespace."""
        return Path(f"/proc/{self.mongod.process.pid}/root{self.mongod.data}")


def why_not() -> str | None:
    """Return why this machine cannot have a small disk, or None if it can."""
    command = ("unshare", "-rm", "sh", "-c", MOUNT, "1m", "/tmp", "true")  # noqa: S108 - the mount is visible only in the namespace
    try:
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return tried.stderr.strip() or "unshare failed" if tried.returncode else None


@contextmanager
def small_disk(directory: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Yield a small disk whose server answers. At exit the server stops, and the disk disappears with it."""
    data = directory.resolve() / "mongod"
    surroundings = ("unshare", "-rm", "sh", "-c", MOUNT, str(size_bytes), str(data))
    with mongod_within(surroundings, data) as mongod:
        yield SmallDisk(mongod=mongod)
