"""The errors of a source's file system: those that may pass by themselves, and the others."""

import errno

from gridhaul.transfer.errors import SourceReadFailed, SourceUnavailable

AWAY = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOTCONN,  # a FUSE mount whose program has ended
        errno.ESTALE,  # an NFS server that was restarted
        errno.ETIMEDOUT,
    }
)


def read_error(failed: str, error: OSError) -> SourceReadFailed:
    """Return SourceUnavailable if the file system's server is away, else SourceReadFailed.

    `failed` is a clause that says what failed, such as `Reading the source failed`.
    """
    kind = SourceUnavailable if error.errno in AWAY else SourceReadFailed
    return kind(f"{failed}: {error.strerror}.")
