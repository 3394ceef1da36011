"""The marker of a directory target: a file at its top, by which the directory is known again.

A path is no proof: where a disk is not mounted, the path leads to the disk beneath.
"""

import errno
import os
import re
import secrets
from contextlib import suppress

from gridhaul.targets.beneath import open_file, rename_new, sync_file, sync_folder
from gridhaul.transfer.errors import NotAnObject, TargetRefused, TargetUnavailable
from gridhaul.transfer.naming import MARKER

EXPLANATION = "Gridhaul knows this directory again by this file. Please leave it here.\n"
_ID = re.compile(r"[0-9a-f]{32}")
ID_CHARACTERS = 32
MODE = 0o644
NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def is_marker(text: str) -> bool:
    """Return whether the text has the form of a marker's id."""
    return _ID.fullmatch(text) is not None


def require_marker(folder: int, wanted: str) -> None:
    """Raise TargetUnavailable unless the folder, given by its descriptor, holds the marker with the id."""
    try:
        found = _read(folder)
        seen = "it has no marker" if found is None else "it has another marker"
    except OSError as error:
        found, seen = None, f"its marker cannot be read ({error.strerror})"
    if found != wanted:
        raise TargetUnavailable(
            f"The target's directory is not the one that was seen before: {seen}. Is its disk mounted? To accept the "
            f"directory as it is now, write {wanted} into the file {MARKER} in it."
        )


def adopt_marker(folder: int) -> str | None:
    """Return the id of the marker that is in the folder, durably; None if there is none. Raises OSError."""
    found = _read(folder)
    if found is not None:
        sync_folder(folder)  # another worker may have made it a moment ago
    return found


def make_marker(folder: int, temporary: str) -> str:
    """Make a marker durably, and return its id; if another worker makes one at the same time, return that one's id.

    `temporary` is the name of a file that is written meanwhile. Raises TargetRefused if no marker may be made,
    TargetUnavailable, and OSError.
    """
    made = secrets.token_hex(ID_CHARACTERS // 2)
    try:
        _write(folder, temporary, made)
        found = _publish(folder, temporary, made)
        sync_folder(folder)
    except OSError as error:
        if error.errno not in NOT_ALLOWED:
            raise
        raise TargetRefused(
            f"The target's directory does not take Gridhaul's marker: {error.strerror}. Let workers write there, or "
            f"write {made} into the file {MARKER} in it."
        ) from error
    if found is None:
        raise TargetRefused(f"The file {MARKER} in the target's directory holds no marker; remove the file.")
    return found


def _publish(folder: int, temporary: str, made: str) -> str | None:
    """Give the written marker its name, unless the name is taken. Return the id in the file that has the name then."""
    try:
        rename_new((folder, temporary), (folder, MARKER))
    except FileExistsError:  # another worker made a marker at the same time, or somebody's file has the name
        os.unlink(temporary, dir_fd=folder)
    except TargetRefused:  # the file system can neither rename without replacing nor link
        os.unlink(temporary, dir_fd=folder)
        with suppress(FileExistsError):
            _write(folder, MARKER, made, os.O_EXCL)
    return _read(folder)


def _write(folder: int, name: str, made: str, flag: int = os.O_TRUNC) -> None:
    text = f"{made}\n{EXPLANATION}".encode()
    descriptor = open_file(folder, name, os.O_WRONLY | os.O_CREAT | flag, mode=MODE)
    try:
        if os.write(descriptor, text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def _read(folder: int) -> str | None:
    """Return the id in the marker; None if there is no marker, or something else has its name."""
    try:
        descriptor = open_file(folder, MARKER, os.O_RDONLY)
    except (FileNotFoundError, NotAnObject):
        return None
    try:
        text = os.read(descriptor, 4096).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)
    return text[:ID_CHARACTERS] if _ID.match(text) else None
