"""Looks at the entries of a folder by its descriptor. No file is opened, so no device or FIFO notices."""

import errno
import os
import stat
from dataclasses import dataclass

from gridhaul.source.beneath import find
from gridhaul.source.opened import closing_descriptor
from gridhaul.source.read_errors import AWAY, read_error
from gridhaul.source.roots import Names
from gridhaul.transfer.naming import has_control_characters
from gridhaul.transfer.skipping import SkipReason, is_utf8

READ_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OUT_OF_MEANS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})  # these say nothing about the entry
NOT_SEEN = os.stat_result((0,) * 10)
_SPECIAL = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


class PassedOver(Exception):
    """Why an entry is passed over: the reason, and a sentence for people."""

    def __init__(self, reason: SkipReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file or folder as it was when it was looked at."""

    status: os.stat_result  # NOT_SEEN: it could not be looked at
    fault: PassedOver | None = None  # why it cannot be taken, if the selection asks for it
    through_link: bool = False  # `status` is that of the place to which a link leads

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.status.st_mode)


def look(folder: int, name: str) -> Entry:
    """Look at the entry `name` of the folder, whose descriptor it is. A link is looked at itself.

    Raises SourceUnavailable, SourceReadFailed.
    """
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode) and not os.access(
            name, os.R_OK, dir_fd=folder, effective_ids=True, follow_symlinks=False
        ):
            return Entry(status=status, fault=_unreadable())
    except OSError as error:
        return Entry(status=NOT_SEEN, fault=passed_over(error))
    return Entry(status=status, fault=_fault_of_name(name) or _fault_of_kind(status))


def look_through(root: int, names: Names) -> Entry:
    """Look at the place that `names` lead to. Links are followed while they stay beneath `root`, which is a descriptor.

    Raises OSError.
    """
    with closing_descriptor(find(root, names)) as found:
        status = os.fstat(found)
        readable = not stat.S_ISREG(status.st_mode) or os.access(f"/proc/self/fd/{found}", os.R_OK, effective_ids=True)
    return Entry(status=status, fault=_fault_of_kind(status) if readable else _unreadable(), through_link=True)


def open_folder(folder: int, name: str) -> int:
    """Return a descriptor for reading the entry `name` of the folder. Raises OSError, also if `name` is a link."""
    return os.open(name, READ_FOLDER, dir_fd=folder)


def open_folder_through(root: int, names: Names) -> int:
    """Return a descriptor for reading the folder that `names` lead to, as `look_through` does. Raises OSError."""
    with closing_descriptor(find(root, names)) as found:
        return os.open(".", READ_FOLDER, dir_fd=found)


def passed_over(error: OSError) -> PassedOver:
    """Return why an entry is passed over that could not be looked at.

    Raises SourceUnavailable, SourceReadFailed if the error says nothing about the entry itself.
    """
    if error.errno in AWAY or error.errno in OUT_OF_MEANS:
        raise read_error("Looking at a folder failed", error) from error
    known = _BY_ERRNO.get(error.errno or 0)
    return PassedOver(*known) if known else PassedOver(SkipReason.UNREADABLE, f"Reading failed: {error.strerror}.")


def broken_link(error: OSError) -> PassedOver:
    """Return why a link is passed over that could not be followed. Raises as `passed_over` does."""
    known = _LINK_BY_ERRNO.get(error.errno or 0)
    return PassedOver(*known) if known else passed_over(error)


def _fault_of_name(name: str) -> PassedOver | None:
    if has_control_characters(name):
        return PassedOver(SkipReason.CONTROL_CHARACTERS, "The name holds a line break or another control character.")
    if not is_utf8(name):
        return PassedOver(SkipReason.NOT_UTF8, "The name is not UTF-8.")
    return None


def _fault_of_kind(status: os.stat_result) -> PassedOver | None:
    kind = stat.S_IFMT(status.st_mode)
    if kind in (stat.S_IFREG, stat.S_IFDIR):
        return None
    if kind == stat.S_IFLNK:
        return PassedOver(SkipReason.LINK, "Links are not followed.")
    return PassedOver(SkipReason.SPECIAL, f"It is {_SPECIAL.get(kind, 'no file')}.")


def _unreadable() -> PassedOver:
    return PassedOver(SkipReason.UNREADABLE, "The server may not read it.")


_BY_ERRNO = {
    errno.EACCES: (SkipReason.UNREADABLE, "The server may not read it."),
    errno.EPERM: (SkipReason.UNREADABLE, "The server may not read it."),
    errno.ENOENT: (SkipReason.MISSING, "It vanished before it was looked at."),
    errno.ENOTDIR: (SkipReason.MISSING, "It was replaced before it was looked at."),
    errno.ELOOP: (SkipReason.MISSING, "It was replaced before it was looked at."),
    errno.ENAMETOOLONG: (SkipReason.PATH_TOO_LONG, "A part of the path is too long."),
}
_LINK_BY_ERRNO = {
    errno.EXDEV: (SkipReason.LINK_OUTSIDE, "The link leads out of the root, or is absolute."),
    errno.ELOOP: (SkipReason.LINK_LOOP, "The link leads to itself, or the server's kernel cannot confine links."),
    errno.ENOENT: (SkipReason.LINK_BROKEN, "The link leads to nothing."),
    errno.ENOTDIR: (SkipReason.LINK_BROKEN, "The link leads to nothing."),
}
