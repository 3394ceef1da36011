"""Source files: opened beneath the roots, identified, and compared with what was registered.

The descriptor that was opened is authorised, never the path's text.
"""

import asyncio
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Self

from gridhaul.source.beneath import enter, find
from gridhaul.source.read_errors import read_error
from gridhaul.source.reader import SourceReader, read_chunk
from gridhaul.source.roots import NOT_ALLOWED, Place, Roots
from gridhaul.transfer.errors import (
    GridhaulError,
    InvalidValue,
    NotARegularFile,
    PathInvalid,
    PathNotAllowed,
    SourceChanged,
    SourceMissing,
    SourceReadFailed,
    SourceTooLarge,
    SourceUnreadable,
)
from gridhaul.transfer.naming import has_control_characters
from gridhaul.transfer.origins import SourceIdentity

PATH_MAX_BYTES = 4096
NO_FILE_THERE = "The server has no file at the path of the source."
TOO_MANY_BYTES = 2**51  # from this size on, 32 bits cannot number the GridFS chunks
CLOCK_TICK_SECONDS = 0.02  # two changes within a tick of the kernel's clock get the same time
READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # O_NONBLOCK: a file that another program leased must not block


def check_path(path: str) -> str:
    """Return the path. Raises PathInvalid unless it is absolute, of printable text and at most 4,096 bytes long."""
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        raise PathInvalid("The path must be valid Unicode.") from None
    if not path.startswith("/") or len(encoded) > PATH_MAX_BYTES:
        raise PathInvalid(f"The path must be absolute and have at most {PATH_MAX_BYTES} bytes.")
    if has_control_characters(path):
        raise PathInvalid("The path must not hold control characters.")
    return path


class Source:
    """An open source file. Call `close` at the end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    async def open(cls, path: str, roots: Roots) -> Self:
        """Open a regular file beneath an allowed root. Raises the source errors of `transfer.errors`."""
        return await asyncio.to_thread(cls.open_here, path, roots)

    @classmethod
    def open_here(cls, path: str, roots: Roots) -> Self:
        """Open the file as `open` does, but in the calling thread."""
        return cls(_open(check_path(path), roots))

    def close(self) -> None:
        os.close(self._descriptor)

    def identity(self) -> SourceIdentity:
        """Return what `fstat` says now. Raises SourceReadFailed."""
        try:
            status = os.fstat(self._descriptor)
        except OSError as error:
            raise read_error("Looking at the source failed", error) from error
        return identity_of(status)

    async def settled_identity(self) -> SourceIdentity:
        """Return the identity, if necessary a tick later, so that every later change is sure to get a later ctime."""
        identity = self.identity()
        if is_settled(identity):
            return identity
        await asyncio.sleep(CLOCK_TICK_SECONDS)
        return self.identity()

    def require(self, registered: SourceIdentity) -> None:
        """Raise SourceChanged if the source is not the registered file, or was written to since."""
        if not self.identity().matches(registered):
            raise SourceChanged("The source has changed since it was registered; retry stores it as it is now.")

    async def chunk(self, length_bytes: int, n: int) -> bytes:
        """Return chunk `n` of a source of `length_bytes`. Raises SourceChanged, SourceReadFailed."""
        return await asyncio.to_thread(read_chunk, self._descriptor, length_bytes, n)

    def read(self, registered: SourceIdentity) -> SourceReader:
        """Return a reader of the whole registered source. While it reads, it notices a change within a second."""
        return SourceReader(
            partial(read_chunk, self._descriptor, registered.size),
            registered.size,
            look=lambda: self.require(registered),
        )


def identity_of(status: os.stat_result) -> SourceIdentity:
    """Return the identity of the file whose status it is."""
    return SourceIdentity(
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        inode=str(status.st_ino),
        device=str(status.st_dev),
        ctime_ns=status.st_ctime_ns,
        mode=stat.S_IMODE(status.st_mode),
    )


def is_settled(identity: SourceIdentity) -> bool:
    """Return whether every later change is sure to get a later ctime."""
    return time.time_ns() - identity.ctime_ns >= CLOCK_TICK_SECONDS * 1e9


async def identify(path: str, roots: Roots, *, max_file_bytes: int | None) -> SourceIdentity:
    """Return the identity under which the file at `path` is registered. Raises the source errors."""
    return await asyncio.to_thread(identify_here, path, roots, max_file_bytes=max_file_bytes)


def identify_here(path: str, roots: Roots, *, max_file_bytes: int | None) -> SourceIdentity:
    """Identify the file as `identify` does, but in the calling thread, for as long as the file system takes."""
    with closing(Source.open_here(path, roots)) as source:
        identity = source.identity()
    if max_file_bytes is not None and identity.size > max_file_bytes:
        raise SourceTooLarge(f"Files of more than {max_file_bytes} bytes are not taken here.")
    if identity.size >= TOO_MANY_BYTES:
        raise InvalidValue("Files of 2 PiB and more are beyond the numbers of a GridFS chunk.")
    return identity


def _open(path: str, roots: Roots) -> int:
    """Return a descriptor of the regular file at `path`, never of a file outside its root. Raises the source errors."""
    place = roots.place(path)
    try:
        with entered_root(place) as root, closing_descriptor(find(root, place.beneath)) as found:
            return _open_to_read(found)
    except OSError as error:
        raise source_error(error) from error


@contextmanager
def entered_root(place: Place) -> Iterator[int]:
    """Yield an O_PATH descriptor of the place's allowed root. Raises OSError."""
    with (
        closing_descriptor(os.open(place.configured, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as configured,
        closing_descriptor(enter(configured, place.to_root)) as root,
    ):
        yield root


def _open_to_read(found: int) -> int:
    """Return a descriptor for reading the found file. /proc leads to the same file, whatever its name is by now.

    Only a regular file is opened, because opening has effects elsewhere: a tape rewinds, a watchdog starts, the writer
    of a FIFO goes on.
    """
    if not stat.S_ISREG(os.fstat(found).st_mode):
        raise NotARegularFile("The path names no regular file.")
    try:
        return os.open(f"/proc/self/fd/{found}", READ)
    except FileNotFoundError as error:
        raise SourceReadFailed("The server cannot open files: it has no /proc.") from error


@contextmanager
def closing_descriptor(descriptor: int) -> Iterator[int]:
    """Yield the descriptor and close it at the end."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


_BY_ERRNO: dict[int, Callable[[], GridhaulError]] = {
    errno.EXDEV: lambda: PathNotAllowed(NOT_ALLOWED),
    errno.ELOOP: lambda: PathNotAllowed(NOT_ALLOWED),
    errno.ENOENT: lambda: SourceMissing(NO_FILE_THERE),
    errno.ENOTDIR: lambda: SourceMissing(NO_FILE_THERE),
    errno.EACCES: lambda: SourceUnreadable("The server may not read this file."),
    errno.EPERM: lambda: SourceUnreadable("The server may not read this file."),
    errno.ENAMETOOLONG: lambda: PathInvalid("A part of the path is too long."),
}


def source_error(error: OSError) -> GridhaulError:
    """Return the error of a source that could not be found or opened."""
    make = _BY_ERRNO.get(error.errno or 0)
    return make() if make else read_error("Opening the source failed", error)
