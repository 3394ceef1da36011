"""Folders and files beneath a root, opened component by component. No link is followed, so no name leads out."""

import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gridhaul.transfer.errors import NotAnObject, TargetRefused, TargetUnavailable

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY  # O_NONBLOCK: a FIFO must not block the thread
NO_FILE = frozenset({errno.ENXIO, errno.ELOOP, errno.EISDIR})  # a FIFO that nobody reads, or a socket; a link; a folder
RENAME_NOREPLACE = 1
NO_RENAMEAT2 = frozenset({errno.EINVAL, errno.ENOSYS})  # no RENAME_NOREPLACE in the file system; an old kernel
NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK})
# Answers of file systems that cannot flush one file, or one folder: some network and FUSE file systems.
NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})
NO_FOLDER_SYNC = NO_SYNC | {errno.EBADF}  # some want a descriptor for writing, which a folder cannot have

_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Root:
    """The top folder of a target. All names are relative to it."""

    path: Path
    check: Callable[[int], None]  # gets the descriptor of the folder before it is used; raises if it is another folder


@contextmanager
def open_folder(root: Root, folders: Sequence[str]) -> Iterator[int]:
    """Yield a descriptor of the folder. Raises FileNotFoundError, and TargetUnavailable if the root is not there."""
    with _walk(root, folders, _enter) as descriptor:
        yield descriptor


@contextmanager
def make_folder(root: Root, folders: Sequence[str]) -> Iterator[int]:
    """Yield a descriptor of the folder, after making missing folders durably.

    Raises TargetUnavailable if the root is missing.
    """
    with _walk(root, folders, _enter_or_make) as descriptor:
        yield descriptor


def open_file(folder: int, name: str, flags: int, *, mode: int = 0) -> int:
    """Return a descriptor of the regular file in the folder. Raises NotAnObject if something else has the name.

    A file that is made gets `mode`, less the umask.
    """
    try:
        descriptor = os.open(name, flags | FILE_FLAGS, mode, dir_fd=folder)
    except OSError as error:
        if error.errno in NO_FILE:
            raise _no_file() from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file()
    return descriptor


def _no_file() -> NotAnObject:
    return NotAnObject("Under this name the target has a folder, a link or something else that is no file.")


def sync_file(descriptor: int) -> None:
    """Flush the file to the disk, if the file system can flush one file."""
    _sync(descriptor, NO_SYNC)


def sync_folder(descriptor: int) -> None:
    """Flush the folder's names to the disk, if the file system can flush one folder."""
    _sync(descriptor, NO_FOLDER_SYNC)


def _sync(descriptor: int, cannot: frozenset[int]) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in cannot:
            raise


def rename_new(source: tuple[int, str], destination: tuple[int, str]) -> None:
    """Rename an object unless the destination exists. Both are (folder descriptor, name).

    Raises FileExistsError, FileNotFoundError, or TargetRefused if the file system cannot do it. Raises
    TargetUnavailable if the object has its new name, but its old one could not be removed.
    """
    try:
        _rename_noreplace(source, destination)
    except OSError as error:
        if error.errno not in NO_RENAMEAT2:
            raise
        link_and_unlink(source, destination)


def link_and_unlink(source: tuple[int, str], destination: tuple[int, str]) -> None:
    """Do what `rename_new` does, by a hard link. A crash between link and unlink leaves both names."""
    try:
        os.link(source[1], destination[1], src_dir_fd=source[0], dst_dir_fd=destination[0], follow_symlinks=False)
    except OSError as error:
        if error.errno in NO_LINKS:
            raise TargetRefused("The target's file system can neither rename without replacing nor link.") from error
        raise
    try:
        os.unlink(source[1], dir_fd=source[0])
    except OSError as error:  # the object has its new name, so the delivery must not be refused
        raise TargetUnavailable(f"The target's directory keeps the temporary object, too: {error.strerror}.") from error


def rename_after_look(source: tuple[int, str], destination: tuple[int, str]) -> None:
    """Do what `rename_new` does, on a file system that cannot do it: look whether the destination exists, then rename.

    A file that takes the name between the look and the renaming is replaced.
    """
    with suppress(FileNotFoundError):
        os.stat(destination[1], dir_fd=destination[0], follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    try:
        rename_new(source, destination)
    except TargetRefused:
        os.rename(source[1], destination[1], src_dir_fd=source[0], dst_dir_fd=destination[0])


def _rename_noreplace(source: tuple[int, str], destination: tuple[int, str]) -> None:
    if _renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _renameat2(source[0], os.fsencode(source[1]), destination[0], os.fsencode(destination[1]), RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))  # OSError() makes the fitting subclass, such as FileExistsError


@contextmanager
def _walk(root: Root, folders: Sequence[str], enter: Callable[[int, str], int]) -> Iterator[int]:
    try:
        current = os.open(root.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TargetUnavailable("The target's directory is not there; is it mounted?") from error
    try:
        root.check(current)
        for folder in folders:
            deeper = enter(current, folder)
            os.close(current)
            current = deeper
        yield current
    finally:
        os.close(current)


def _enter(parent: int, folder: str) -> int:
    try:
        return os.open(folder, FOLDER_FLAGS, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise TargetRefused(
                f"The target has a file or a link under {folder!r}, where a folder is needed; choose another name."
            ) from error
        raise


def _enter_or_make(parent: int, folder: str) -> int:
    try:
        return _enter(parent, folder)
    except FileNotFoundError:
        with suppress(FileExistsError):  # another writer made the folder at the same time
            os.mkdir(folder, dir_fd=parent)
        sync_folder(parent)
        return _enter(parent, folder)
