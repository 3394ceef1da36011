"""A local file while it is uploaded: read once, in order, and watched for changes."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gridhaul.client.upload_errors import NotRegular, SourceChanged
from gridhaul.transfer.chunking import CHUNK_BYTES, chunk_count, chunk_length
from gridhaul.transfer.digest import ContentDigest


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Some chunks of the file, one after the other. `first` is the number of the first chunk."""

    first: int
    chunks: tuple[bytes, ...]

    @property
    def length_bytes(self) -> int:
        return sum(map(len, self.chunks))


class UploadSource:
    """An open file. `length_bytes` and `mtime_ns` are those of the moment when it was opened."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        self._opened = os.fstat(file.fileno())
        if not stat.S_ISREG(self._opened.st_mode):
            raise NotRegular(f"{path} is not a regular file.")
        self.length_bytes = self._opened.st_size
        self.mtime_ns = self._opened.st_mtime_ns
        self._digest = ContentDigest()

    def segments(self, chunks_each: int) -> Iterator[Segment]:
        """Yield the whole file, `chunks_each` chunks at a time. Raises SourceChanged, OSError."""
        count = chunk_count(self.length_bytes)
        for first in range(0, count, chunks_each):
            numbers = range(first, min(first + chunks_each, count))
            chunks = tuple(map(self._chunk, numbers))
            self._require_unchanged()
            yield Segment(first=first, chunks=chunks)

    def _chunk(self, n: int) -> bytes:
        length = chunk_length(self.length_bytes, n)
        data = self._file.read(length)
        if len(data) < length:
            raise self.changed()
        self._digest.update(data)
        return data

    def sha256(self) -> str:
        """Return the SHA-256 of the file, all segments of which were read. Raises SourceChanged, OSError.

        A new mode or a further link changes only the ctime, and so does a program that writes and then puts the mtime
        back. Only another reading tells which of them it was.
        """
        status, sha256 = self._require_unchanged(), self._digest.hexdigest()
        if status.st_ctime_ns != self._opened.st_ctime_ns and self._read_again() != sha256:
            raise self.changed()
        return sha256

    def _require_unchanged(self) -> os.stat_result:
        status = os.fstat(self._file.fileno())
        if (status.st_size, status.st_mtime_ns) != (self.length_bytes, self.mtime_ns):
            raise self.changed()
        return status

    def _read_again(self) -> str:
        digest = ContentDigest()
        self._file.seek(0)
        while block := self._file.read(CHUNK_BYTES):
            digest.update(block)
        return digest.hexdigest()

    def changed(self) -> SourceChanged:
        return SourceChanged(f"{self.path} has changed since its upload began; run the command again to send it anew.")


@contextmanager
def opened_source(path: Path, *, follow_symlinks: bool) -> Iterator[UploadSource]:
    """Open the file inside the context. Raises NotRegular, OSError."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not make the command wait
    try:
        descriptor = os.open(path, flags if follow_symlinks else flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow_symlinks:
            raise NotRegular(f"{path} has become a symbolic link, which is not followed.") from None
        raise
    with os.fdopen(descriptor, "rb") as file:
        yield UploadSource(path, file)
