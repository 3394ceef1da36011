"""The marker of a directory target: a file at its top, by which the directory is known again.

A path is no proof: where a disk is not mounted, the path leads to the disk beneath.
"""

import errno
import os
import re
import secrets

from gridhaul.targets.beneath import open_file, rename_new, sync_file, sync_folder
from gridhaul.transfer.errors import NotAnObject, TargetRefused, TargetUnavailable
from gridhaul.transfer.naming import MARKER

EXPLANATION = "Gridhaul knows this directory again by this file. Please leave it here.\n"
_ID = re.compile(r"[0-9a-f]{32}")
ID_CHARACTERS = 32
NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def require_marker(folder: int, wanted: str) -> None:
    """Raise TargetUnavailable unless the folder, given by its descriptor, holds the marker with the id."""
    found = _read(folder)
    if found == wanted:
        return
    seen = "it has no marker" if found is None else "it has another marker"
    raise TargetUnavailable(
        f"The target's directory is not the one that was seen before: {seen}. Is its disk mounted? To accept the "
        f"directory as it is now, write {wanted} into the file {MARKER} in it."
    )


def adopt_or_make_marker(folder: int, temporary: str) -> str:
    """Return the id of the marker in the folder, after making a marker durably if there is none.

    `temporary` is the name of a file that may be written meanwhile. Raises TargetRefused if no marker may be made, and
    OSError.
    """
    made = secrets.token_hex(ID_CHARACTERS // 2)
    try:
        found = _read(folder) or _make(folder, temporary, made)
        sync_folder(folder)  # also for a marker that another worker made a moment ago
    except OSError as error:
        if error.errno not in NOT_ALLOWED:
            raise
        raise TargetRefused(
            f"The target's directory does not take Gridhaul's marker: {error.strerror}. Let workers write there, or "
            f"write {made} into the file {MARKER} in it."
        ) from error
    return found


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


def _make(folder: int, temporary: str, made: str) -> str:
    descriptor = open_file(folder, temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(descriptor, f"{made}\n{EXPLANATION}".encode())
        sync_file(descriptor)
    finally:
        os.close(descriptor)
    try:
        rename_new((folder, temporary), (folder, MARKER))
    except FileExistsError:  # another worker made a marker at the same time, or somebody's file has the name
        os.unlink(temporary, dir_fd=folder)
        made = _read(folder) or ""
    if not made:
        raise TargetRefused(f"The file {MARKER} in the target's directory holds no marker; remove the file.")
    return made
