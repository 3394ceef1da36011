"""The probe of a directory target's file system: which promises it keeps is tried with two small files."""

import os
from contextlib import suppress

from gridhaul.targets.beneath import NO_FOLDER_SYNC, NO_SYNC, open_file, rename_new
from gridhaul.targets.open_files import write_at
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.errors import TargetRefused

CONTENT = b"Gridhaul wrote this file to find out what the file system does. It may be removed.\n"
LATER_BYTE = len(CONTENT) // 2


def scratch_files(scratch: str) -> tuple[str, str]:
    """Return the names of the files that `try_abilities` writes."""
    return f"{scratch}a", f"{scratch}b"


def try_abilities(folder: int, scratch: str) -> Abilities:
    """Return what the file system of the folder, given by its descriptor, does. Raises OSError."""
    first, second = scratch_files(scratch)
    try:
        resumable = _writes_at_positions(folder, first)
        durable = _flushes(folder, first)
        _write(folder, second, 0)
        exclusive = _refuses_taken_name(folder, first, second)
    finally:
        for name in (first, second):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
    return Abilities(atomic=True, exclusive=exclusive, durable=durable, resumable=resumable, free_space=True)


def _write(folder: int, name: str, start: int) -> None:
    """Write the content from its byte `start` on, as a later attempt does."""
    descriptor = open_file(folder, name, os.O_WRONLY | os.O_CREAT, mode=0o600)
    try:
        write_at(descriptor, CONTENT[start:], start)
    finally:
        os.close(descriptor)


def _writes_at_positions(folder: int, name: str) -> bool:
    """Return whether bytes that were written stay as they are when others are written after them."""
    _write(folder, name, 0)
    _write(folder, name, LATER_BYTE)
    descriptor = open_file(folder, name, os.O_RDONLY)
    try:
        return os.read(descriptor, 2 * len(CONTENT)) == CONTENT
    finally:
        os.close(descriptor)


def _flushes(folder: int, name: str) -> bool:
    """Return whether the file system can flush a file and a folder to the disk."""
    descriptor = open_file(folder, name, os.O_WRONLY)
    try:
        return _can_flush(descriptor, NO_SYNC) and _can_flush(folder, NO_FOLDER_SYNC)
    finally:
        os.close(descriptor)


def _can_flush(descriptor: int, cannot: frozenset[int]) -> bool:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in cannot:
            return False
        raise
    return True


def _refuses_taken_name(folder: int, name: str, taken: str) -> bool:
    """Return whether renaming onto a taken name is refused, and leaves both files."""
    try:
        rename_new((folder, name), (folder, taken))
    except FileExistsError:
        return True
    except TargetRefused:  # the file system can neither rename without replacing nor link
        return False
    return False
