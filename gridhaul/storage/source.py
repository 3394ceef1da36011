"""Source files: opened beneath the roots, read in segments, compared with what was registered.

What is authorised is the descriptor that was opened, never the path's text.
"""

import asyncio
import ctypes
import errno
import os
import stat
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from gridhaul.transfer.chunking import CHUNK_BYTES, chunk_count, chunk_length
from gridhaul.transfer.digest import ContentDigest, ManifestRoot, chunk_digest
from gridhaul.transfer.errors import (
    GridhaulError,
    NotARegularFile,
    PathInvalid,
    PathNotAllowed,
    SourceChanged,
    SourceMissing,
    SourceReadFailed,
    SourceUnreadable,
)
from gridhaul.transfer.model import Seal, Segment, SourceIdentity

PATH_MAX_BYTES = 4096
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
        """What `fstat` says now."""
        status = os.fstat(self._descriptor)
        return SourceIdentity(
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=str(status.st_ino),
            device=str(status.st_dev),
            ctime_ns=status.st_ctime_ns,
        )

    def require(self, registered: SourceIdentity) -> None:
        """Raises SourceChanged if it is not the file that was registered, or was written to since."""
        now = self.identity()
        if (now.size, now.mtime_ns, now.inode) != (registered.size, registered.mtime_ns, registered.inode):
            raise SourceChanged("The source has changed since it was registered; prepare it again.")

    def read(self, length_bytes: int) -> "SourceReader":
        """A reader of the whole source."""
        return SourceReader(self._descriptor, length_bytes)


class SourceReader:
    """Reads a source once from its start, hashing on the way: chunks, manifest root, and the whole."""

    def __init__(self, descriptor: int, length_bytes: int) -> None:
        self._descriptor = descriptor
        self._length = length_bytes
        self._total = ContentDigest()
        self._root = ManifestRoot()

    async def segments(self, chunks_each: int) -> AsyncGenerator[Segment]:
        """The source as segments, the next one read while this one is used. Raises SourceChanged, SourceReadFailed."""
        count = chunk_count(self._length)
        ahead: asyncio.Future[Segment] | None = None
        try:
            for first in range(0, count, chunks_each):
                ahead = ahead or self._start(first, min(chunks_each, count - first))
                segment = await asyncio.shield(ahead)  # a thread cannot be cancelled, only waited for
                after = first + chunks_each
                ahead = self._start(after, min(chunks_each, count - after)) if after < count else None
                yield segment
        finally:
            if ahead is not None:  # the thread must be done with the descriptor before it is closed
                await asyncio.wait([ahead])
                with suppress(GridhaulError):
                    ahead.result()

    def seal(self) -> Seal:
        """What the source was, after the last segment."""
        return Seal(
            length=self._total.length_bytes,
            sha256=self._total.hexdigest(),
            manifest_root=self._root.hexdigest(),
        )

    def _start(self, first: int, count: int) -> asyncio.Future[Segment]:
        return asyncio.get_running_loop().run_in_executor(None, self._read, first, count)

    def _read(self, first: int, count: int) -> Segment:
        chunks, digests = [], []
        for n in range(first, first + count):
            data = self._read_chunk(n)
            digest = chunk_digest(data)
            self._total.update(data)
            self._root.update(digest)
            chunks.append(data)
            digests.append(digest)
        return Segment(first=first, chunks=tuple(chunks), digests=tuple(digests))

    def _read_chunk(self, n: int) -> bytes:
        wanted = chunk_length(self._length, n)
        try:
            data = os.pread(self._descriptor, wanted, n * CHUNK_BYTES)
            while len(data) < wanted and (
                more := os.pread(self._descriptor, wanted - len(data), n * CHUNK_BYTES + len(data))
            ):
                data += more
        except OSError as error:
            raise SourceReadFailed(f"Reading the source failed: {error.strerror}.") from error
        if len(data) < wanted:
            raise SourceChanged("The source became shorter while it was read; prepare it again.")
        return data


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
