"""Looks whether a path is still there, without opening it. Everything here waits for the file system."""

import os

from gridhaul.source.beneath import find
from gridhaul.source.opened import closing_descriptor, entered_root, source_error
from gridhaul.source.roots import Roots
from gridhaul.transfer.errors import PathNotAllowed, SourceMissing, SourceReadFailed


def is_gone(path: str, roots: Roots) -> bool:
    """Return whether nothing is at the path any more. A link counts as something, wherever it leads.

    A path is not called gone if the server may not look for it, or if its whole root is missing: a disk may not be
    mounted. Raises SourceReadFailed, SourceUnavailable.
    """
    try:
        place = roots.place(path)
        with entered_root(place) as root:
            return not _has(root, place.beneath)
    except PathNotAllowed:
        return False
    except OSError as error:
        _raise_if_failed(error)
        return False


def _has(root: int, names: tuple[str, ...]) -> bool:
    try:
        with closing_descriptor(find(root, names[:-1])) as folder:
            os.stat(names[-1] if names else ".", dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        _raise_if_failed(error)
        return not isinstance(source_error(error), SourceMissing)
    return True


def _raise_if_failed(error: OSError) -> None:
    refusal = source_error(error)
    if isinstance(refusal, SourceReadFailed):
        raise refusal from error
