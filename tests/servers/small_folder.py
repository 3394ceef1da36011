"""A folder on a small disk that a test can fill: a tmpfs in a private mount namespace, without root.

with small_folder(tmp_path, 16 << 20) as small:
    small.fill(leaving=1000)
    …  # small.folder: its path, for this process and for servers that the same user runs
    small.make_room()
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.small_disk import MOUNT

MOUNTED = "mounted\n"


@dataclass(frozen=True, kw_only=True)
class SmallFolder:
    folder: Path

    def fill(self, *, leaving: int) -> None:
        """Make a file that leaves only so many bytes free."""
        free = os.statvfs(self.folder)
        with self._ballast.open("xb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, free.f_bavail * free.f_frsize - leaving)

    def make_room(self) -> None:
        """Remove the file that fills the disk."""
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def small_folder(directory: Path, size_bytes: int) -> Iterator[SmallFolder]:
    """Yield the folder. At exit the disk disappears with the process that holds its namespace."""
    inside = directory.resolve()
    command = ("unshare", "-rm", "sh", "-c", MOUNT, str(size_bytes), str(inside), "sh", "-c", "echo mounted; exec cat")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == MOUNTED
        yield SmallFolder(folder=Path(f"/proc/{holder.pid}/root{inside}"))
