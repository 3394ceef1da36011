"""Finds files and folders beneath a directory without leaving it or opening them: no device or FIFO notices."""

import ctypes
import errno
import os
import stat
from collections.abc import Sequence

OPENAT2 = 437  # the number of the system call, the same on every architecture
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_BENEATH = 0x08
NO_OPENAT2 = frozenset({errno.ENOSYS, errno.EPERM})  # an old kernel; a container that filters system calls
AGAIN = frozenset({errno.EAGAIN, errno.EINTR})
TRIES = 10_000  # any rename on the machine makes openat2 fail with EAGAIN at a link that holds `..`
FIND = os.O_PATH | os.O_CLOEXEC
ENTER = FIND | os.O_DIRECTORY | os.O_NOFOLLOW  # O_DIRECTORY also makes an automounter mount the folder

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def enter(folder: int, names: Sequence[str]) -> int:
    """Return an O_PATH descriptor of the folder that `names` lead to beneath `folder`, which is a descriptor.

    No link is followed: raises OSError, with ELOOP at the first link.
    """
    current = os.dup(folder)
    try:
        for name in names:
            deeper = _enter_one(current, name)
            os.close(current)
            current = deeper
    except OSError:
        os.close(current)
        raise
    return current


def find(folder: int, names: Sequence[str]) -> int:
    """Return an O_PATH descriptor of whatever `names` lead to. Links are followed while they stay beneath `folder`.

    Raises OSError, with EXDEV or ELOOP where a link leads out, before anything outside is looked at. If the kernel has
    no openat2, no link is followed.
    """
    for _ in range(TRIES):
        try:
            return _openat2(folder, "/".join(names) or ".")
        except OSError as error:
            if error.errno in NO_OPENAT2:
                return _walk(folder, names)
            if error.errno not in AGAIN:
                raise
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _openat2(folder: int, beneath: str) -> int:
    how = _OpenHow(flags=FIND, mode=0, resolve=RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    descriptor: int = _libc.syscall(
        OPENAT2, folder, beneath.encode(), ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))
    )
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return descriptor


def _walk(folder: int, names: Sequence[str]) -> int:
    parent = enter(folder, names[:-1])
    try:
        descriptor = os.open(_checked(names[-1]) if names else ".", FIND | os.O_NOFOLLOW, dir_fd=parent)
    finally:
        os.close(parent)
    if stat.S_ISLNK(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return descriptor


def _enter_one(folder: int, name: str) -> int:
    try:
        return os.open(_checked(name), ENTER, dir_fd=folder)
    except NotADirectoryError:  # also raised for a link, wherever the link leads
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        raise


def _checked(name: str) -> str:
    if name in ("", "..") or "/" in name:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    return name
