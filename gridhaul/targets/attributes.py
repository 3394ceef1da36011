"""Attributes of sources that files of a directory target get: the mtime, and the mode if a setting asks for it."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from gridhaul.transfer.origins import Attributes

PERMISSIONS = 0o777  # without setuid, setgid and sticky: a delivered file must not run as the user of the workers
# Answers of file systems that do not keep an attribute, or not this value of it.
NOT_KEPT = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.ERANGE, errno.EOVERFLOW}
)


def set_mtime(descriptor: int, mtime_ns: int) -> None:
    """Set the file's mtime, unless its file system does not keep it."""
    with _if_kept():
        os.utime(descriptor, ns=(os.fstat(descriptor).st_atime_ns, mtime_ns))


def set_permissions(descriptor: int, mode: int) -> None:
    """Set the permission bits of the mode, unless the file system does not keep them.

    A mode that takes reading from the owner is left out: the worker, which owns the file, has to read it back.
    """
    if mode & stat.S_IRUSR:
        with _if_kept():
            os.fchmod(descriptor, mode & PERMISSIONS)


def attributes_of(descriptor: int) -> Attributes:
    """Return the attributes that the file has."""
    status = os.fstat(descriptor)
    return Attributes(mtime_ns=status.st_mtime_ns, mode=stat.S_IMODE(status.st_mode))


@contextmanager
def _if_kept() -> Iterator[None]:
    try:
        yield
    except OverflowError:  # a time of more than 64 bits
        return
    except OSError as error:
        if error.errno not in NOT_KEPT:
            raise
