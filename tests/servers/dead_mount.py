"""A real mounted folder whose file system never answers: FUSE without a server, in a private mount namespace."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

WITHIN_NAMESPACE = ("unshare", "-rm", sys.executable, "-m", "tests.servers.dead_mount")
MOUNTED = "mounted\n"
NOSUID_NODEV = 6  # MS_NOSUID | MS_NODEV, which a mount of FUSE must have


@dataclass(frozen=True, kw_only=True)
class DeadMount:
    folder: Path  # as other processes find it
    holder: "subprocess.Popen[str]"

    def fail(self) -> None:
        """Close the file system, so that every look at a file fails from now on, and the looks that wait fail too."""
        assert self.holder.stdin is not None
        self.holder.stdin.write("\n")
        self.holder.stdin.flush()


def why_not(directory: Path) -> str | None:
    """Return why this machine cannot have a dead mount, or None if it can."""
    command = (*WITHIN_NAMESPACE, str(directory))
    try:
        tried = subprocess.run(command, capture_output=True, text=True, input="", check=False)
    except OSError as error:
        return str(error)
    return tried.stderr.strip().rpartition("\n")[2] or "unshare failed" if tried.returncode else None


@contextmanager
def dead_mount(directory: Path) -> Iterator[DeadMount]:
    """Yield the directory as a folder in which every look at a file waits. At exit the mount disappears."""
    command = (*WITHIN_NAMESPACE, str(directory))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == MOUNTED
        yield DeadMount(folder=Path(f"/proc/{holder.pid}/root{directory}"), holder=holder)


def _hold(directory: str) -> None:
    """Mount the folder and print MOUNTED. Close the file system after a line from stdin. Return when stdin ends."""
    device = os.open("/dev/fuse", os.O_RDWR)  # nobody reads the file system's requests from this descriptor
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"dead", directory.encode(), b"fuse", NOSUID_NODEV, options.encode()) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    sys.stdout.write(MOUNTED)
    sys.stdout.flush()
    sys.stdin.readline()
    os.close(device)
    sys.stdin.read()


if __name__ == "__main__":
    _hold(sys.argv[1])
