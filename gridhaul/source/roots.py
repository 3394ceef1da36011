"""The directories beneath which sources may lie: the configured roots, and the allowed roots at or beneath them.

A path is authorised beneath one allowed root, which the file's record names. Whoever opens the file later stays beneath
the same root.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gridhaul.transfer.errors import PathNotAllowed
from gridhaul.transfer.model import File

Names = tuple[str, ...]
NOT_ALLOWED = "The path is not beneath a root that is allowed to you."


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A path, split at its configured root and at its allowed root."""

    configured: Path
    to_root: Names  # from the configured root to the allowed root
    beneath: Names  # from the allowed root to the file


@dataclass(frozen=True, kw_only=True, slots=True)
class Roots:
    """The roots that hold for one request or one file."""

    configured: tuple[Path, ...]  # the setting ROOTS of this process
    allowed: tuple[Path, ...]  # an allowed root that is not at or beneath a configured root allows nothing

    @classmethod
    def any_of(cls, configured: tuple[Path, ...]) -> Self:
        """Return roots that allow everything beneath the configured ones."""
        return cls(configured=configured, allowed=configured)

    @classmethod
    def of_file(cls, file: File, configured: tuple[Path, ...]) -> Self:
        """Return roots that allow the root of the file's record; every configured one if the record has none."""
        root = file.source.root
        return cls(configured=configured, allowed=(Path(root),) if root is not None else configured)

    def holding(self, path: str) -> Path:
        """Return the allowed root above the path, judged by the text alone. Raises PathNotAllowed.

        Of several such roots, return the longest: it confines links the most, and the order of the roots has no effect.
        """
        names = _names(path)
        if ".." in names:
            raise PathNotAllowed("The path must not hold '..'.")
        return _longest(self.allowed, names)

    def place(self, path: str) -> Place:
        """Return where to look for the path. Raises PathNotAllowed.

        Of several configured roots above the allowed root, the longest counts: a configured root may be a link, but no
        folder from there to the allowed root may be one.
        """
        root = _names(str(self.holding(path)))
        configured = _longest(self.configured, root)
        to_root = root[len(_names(str(configured))) :]
        return Place(configured=configured, to_root=to_root, beneath=_names(path)[len(root) :])


def _longest(roots: Iterable[Path], names: Names) -> Path:
    """Return the longest root that is equal to or above the path of `names`. Raises PathNotAllowed if there is none."""
    above = [root for root in roots if root.is_absolute() and _begins(names, _names(str(root)))]
    if not above:
        raise PathNotAllowed(NOT_ALLOWED)
    return max(above, key=lambda root: len(root.parts))


def _begins(names: Names, first: Names) -> bool:
    return names[: len(first)] == first


def _names(path: str) -> Names:
    return tuple(name for name in path.split("/") if name not in ("", "."))
