"""Attributes of sources: whether a delivered object has them too, and how receipts show them."""

from gridhaul.transfer.origins import Attributes

COARSEST_NS = 2 * 10**9  # FAT keeps only even seconds, the coarsest times of all file systems in use


def has_mtime(found: Attributes | None, source: Attributes | None) -> bool:
    """Return whether the object has the source's mtime, as exactly as a file system may keep it."""
    return found is not None and source is not None and abs(found.mtime_ns - source.mtime_ns) < COARSEST_NS


def has_mode(found: Attributes | None, source: Attributes | None) -> bool:
    """Return whether the object has the source's mode."""
    return found is not None and source is not None and source.mode is not None and found.mode == source.mode


def octal(mode: int) -> str:
    """Return the mode in octal, such as `0640`."""
    return f"{mode:04o}"
