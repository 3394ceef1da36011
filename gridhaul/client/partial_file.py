"""A download on the disk: its beginning is kept beside its destination, and takes the place only when it is right.

The name of the partial file has a part of the content's SHA-256, so a download goes on only with bytes of the same
content. Bytes are only appended: whatever ends the process, the file is the beginning of the content, as far as the
disk wrote it. The digest of the whole decides at the end.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gridhaul.client.durable import make_durable
from gridhaul.transfer.digest import ContentDigest

SHA256_DIGITS = 12  # how many digits of the content's SHA-256 the name of a partial file has
NAME_BYTES = 200  # of the destination's name in there, so that the whole fits into the 255 bytes of a name
BLOCK_BYTES = 1 << 20
NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})  # of a file system without hard links


class DestinationTaken(Exception):
    """The destination exists, and may not be replaced."""


class DownloadRunning(Exception):
    """Another process downloads the same content to the same destination."""


class BytesDiffer(Exception):
    """The received bytes are not those of the file. They are removed."""


class PartialFile:
    """A partial file that this process alone writes. `length` is how many bytes it has."""

    def __init__(self, path: Path, destination: Path, file: BinaryIO) -> None:
        self.path = path
        self._destination = destination
        self._file = file
        self._digest = ContentDigest()
        while block := file.read(BLOCK_BYTES):
            self._digest.update(block)

    @property
    def length(self) -> int:
        return self._digest.length_bytes

    def append(self, data: bytes) -> None:
        """Append the bytes. Raises OSError."""
        self._file.write(data)
        self._digest.update(data)

    def finish(self, sha256: str) -> None:
        """Give the file its destination's name, unless that exists.

        Raises BytesDiffer, DownloadRunning, DestinationTaken, OSError.
        """
        self._require(sha256)
        try:
            os.link(self.path, self._destination, follow_symlinks=False)
        except FileExistsError:
            raise DestinationTaken from None
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            require_free(self._destination)
            self.path.rename(self._destination)
        else:
            self.path.unlink()
        make_durable(self._destination.parent)

    def finish_in_place_of_another(self, sha256: str) -> None:
        """Give the file its destination's name, in place of what has it.

        Raises BytesDiffer, DownloadRunning, OSError.
        """
        self._require(sha256)
        self.path.replace(self._destination)
        make_durable(self._destination.parent)

    def _require(self, sha256: str) -> None:
        _require_at(self.path, os.fstat(self._file.fileno()))
        if self._digest.hexdigest() != sha256:
            self.path.unlink()
            raise BytesDiffer
        self._file.flush()
        os.fsync(self._file.fileno())


@contextmanager
def partial_file(destination: Path, *, sha256: str) -> Iterator[PartialFile]:
    """Yield the beginning of the content that an earlier download left, else an empty file.

    Reads what is there, to compute its digest. Raises DownloadRunning, OSError.
    """
    path = partial_path(destination, sha256=sha256)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "r+b") as file:
        _lock(file, path)
        yield PartialFile(path, destination, file)


def partial_path(destination: Path, *, sha256: str) -> Path:
    """Return the path of the partial file."""
    name = os.fsdecode(os.fsencode(destination.name)[:NAME_BYTES])
    return destination.with_name(f"{name}.{sha256[:SHA256_DIGITS]}.part")


def require_free(destination: Path) -> None:
    """Raise DestinationTaken if something has the name, be it a broken link."""
    if os.path.lexists(destination):
        raise DestinationTaken


def _lock(file: BinaryIO, path: Path) -> None:
    """Raise DownloadRunning if another process has the file, or has just given it its destination's name."""
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EEXIST, "it is not a regular file", str(path))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DownloadRunning from None
    _require_at(path, found)


def _require_at(path: Path, opened: os.stat_result) -> None:
    """Raise DownloadRunning if the open file no longer has the path: somebody removed it, or it has its final name."""
    try:
        if not os.path.samestat(opened, path.lstat()):
            raise DownloadRunning
    except FileNotFoundError:
        raise DownloadRunning from None
