"""Source files: opened beneath the roots, identified, compared with what was registered.

What is authorised is the descriptor that was opened, never the path's text.
"""

import asyncio
import ctypes
import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from gridhaul.storage.source_reader import SourceReader, read_chunk
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
from gridhaul.transfer.model import SourceIdentity

PATH_MAX_BYTES = 4096
TOO_MANY_BYTES = 2**51  # more chunks than the 32 bits of a GridFS chunk's number
TICK_SECONDS = 0.02  # two changes within a tick of the kernel's clock get the same time
OPENAT2 = 437  # the number of the system call, the same on every architecture
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_BENEATH = 0x08
FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def check_path(path: str) -> str:
    """The path. Raises PathInvalid unless it is absolute, of printable text and at most 4,096 bytes long."""
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        raise PathInvalid("The path must be valid Unicode.") from None
    if not path.startswith("/") or len(encoded) > PATH_MAX_BYTES:
        raise PathInvalid(f"The path must be absolute and have at most {PATH_MAX_BYTES} bytes.")
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in path):
        raise PathInvalid("The path must not hold control characters.")
    return path


class Source:
    """An open source file. Close it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    async def open(cls, path: str, roots: tuple[Path, ...]) -> Self:
        """Open a regular file beneath one of the roots. Raises the source errors of `transfer.errors`."""
        return cls(await asyncio.to_thread(_open, check_path(path), roots))

    def close(self) -> None:
        os.close(self._descriptor)

    def identity(self) -> SourceIdentity:
        """What `fstat` says now. Raises SourceReadFailed."""
        try:
            status = os.fstat(self._descriptor)
        except OSError as error:
            raise SourceReadFailed(f"Looking at the source failed: {error.strerror}.") from error
        return SourceIdentity(
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=str(status.st_ino),
            device=str(status.st_dev),
            ctime_ns=status.st_ctime_ns,
        )

    async def settled_identity(self) -> SourceIdentity:
        """The same, once every later change is sure to get a later time."""
        identity = self.identity()
        if time.time_ns() - identity.ctime_ns >= TICK_SECONDS * 1e9:
            return identity
        await asyncio.sleep(TICK_SECONDS)
        return self.identity()

    def require(self, registered: SourceIdentity) -> None:
        """Raises SourceChanged if it is not the file that was registered, or was written to since."""
        if not self.identity().matches(registered):
            raise SourceChanged("The source has changed since it was registered; retry stores it as it is now.")

    async def chunk(self, length_bytes: int, n: int) -> bytes:
        """One chunk of a source of `length_bytes`. Raises SourceChanged, SourceReadFailed."""
        return await asyncio.to_thread(read_chunk, self._descriptor, length_bytes, n)

    def read(self, length_bytes: int) -> SourceReader:
        """A reader of the whole source."""
        return SourceReader(self._descriptor, length_bytes)


async def identify(path: str, roots: tuple[Path, ...], *, max_file_bytes: int | None) -> SourceIdentity:
    """What the file at `path` is registered as. Raises the source errors."""
    source = await Source.open(path, roots)
    try:
        identity = source.identity()
    finally:
        source.close()
    if max_file_bytes is not None and identity.size > max_file_bytes:
        raise SourceTooLarge(f"Files of more than {max_file_bytes} bytes are not taken here.")
    if identity.size >= TOO_MANY_BYTES:
        raise InvalidValue("Files of 2 PiB and more are beyond the numbers of a GridFS chunk.")
    return identity


def _open(path: str, roots: tuple[Path, ...]) -> int:
    """A descriptor of the regular file at `path`, resolved beneath the root that holds it."""
    if ".." in path.split("/"):
        raise PathNotAllowed("The path must not hold '..'.")
    for root in roots:
        if path.startswith(f"{str(root).rstrip('/')}/"):
            beneath = path[len(str(root).rstrip("/")) :].strip("/")
            break
    else:
        raise PathNotAllowed("The path is not beneath a root of this server.")
    try:
        descriptor = _open_beneath(root, beneath or ".")
    except OSError as error:
        raise _source_error(error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotARegularFile("The path names no regular file.")
    return descriptor


def _open_beneath(root: Path, beneath: str) -> int:
    root_descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _openat2(root_descriptor, beneath)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return _walk(root_descriptor, beneath)
    finally:
        os.close(root_descriptor)


def _openat2(root_descriptor: int, beneath: str) -> int:
    how = _OpenHow(flags=FLAGS, mode=0, resolve=RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    descriptor: int = _libc.syscall(
        OPENAT2, root_descriptor, beneath.encode(), ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))
    )
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return descriptor


def _walk(root_descriptor: int, beneath: str) -> int:
    """Where the kernel has no openat2: component by component, following no link at all."""
    *folders, name = [part for part in beneath.split("/") if part]
    current = os.dup(root_descriptor)
    try:
        for folder in folders:
            deeper = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            os.close(current)
            current = deeper
        return os.open(name, FLAGS | os.O_NOFOLLOW, dir_fd=current)
    finally:
        os.close(current)


_BY_ERRNO: dict[int, Callable[[], GridhaulError]] = {
    errno.EXDEV: lambda: PathNotAllowed("The path is not beneath a root of this server."),
    errno.ELOOP: lambda: PathNotAllowed("The path is not beneath a root of this server."),
    errno.ENOENT: lambda: SourceMissing("There is no file at this path."),
    errno.ENOTDIR: lambda: SourceMissing("There is no file at this path."),
    errno.EACCES: lambda: SourceUnreadable("The server may not read this file."),
    errno.EPERM: lambda: SourceUnreadable("The server may not read this file."),
    errno.ENAMETOOLONG: lambda: PathInvalid("A part of the path is too long."),
    errno.ENXIO: lambda: NotARegularFile("The path names no regular file."),
}


def _source_error(error: OSError) -> GridhaulError:
    make = _BY_ERRNO.get(error.errno or 0)
    return make() if make else SourceReadFailed(f"Opening the source failed: {error.strerror}.")
