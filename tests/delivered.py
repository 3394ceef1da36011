"""The objects in the directory of a target, for tests that look at them."""

from pathlib import Path

from gridhaul.transfer.naming import MARKER


def objects_in(directory: Path) -> list[Path]:
    """Return the paths in the directory, without the target's marker."""
    return [path for path in directory.iterdir() if path.name != MARKER]


def temporaries_below(directory: Path) -> list[Path]:
    """Return the temporary objects in the directory and below."""
    return [path for path in directory.rglob(".gridhaul-*") if path.name != MARKER]
