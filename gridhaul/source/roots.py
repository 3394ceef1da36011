"""The directories beneath which sources may lie: those of this process, and those at or beneath them that are allowed.

A path is authorised beneath one root, which is recorded with the file: whoever opens it later stays beneath that one.
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
    """A path, taken apart."""

    configured: Path
    to_root: Names  # from there to the allowed root
    beneath: Names  # from that to the file


@dataclass(frozen=True, kw_only=True, slots=True)
class Roots:
    configured: tuple[Path, ...]  # what the operator gave this process
    allowed: tuple[Path, ...]  # each one equal to or beneath a configured one, else it allows nothing

    @classmethod
    def any_of(cls, configured: tuple[Path, ...]) -> Self:
        """For whoever is not restricted."""
        return cls(configured=configured, allowed=configured)

    @classmethod
    def of_file(cls, file: File, configured: tuple[Path, ...]) -> Self:
        """The root beneath which the file was authorised; any, if it is not known."""
        return cls(configured=configured, allowed=(Path(file.root),) if file.root is not None else configured)

    def holding(self, path: str) -> Path:
        """The allowed root above the path, judged by the text alone. Raises PathNotAllowed.

        Of several the longest: it confines links the most, and the order in which roots are listed decides nothing.
        """
        names = _names(path)
        if ".." in names:
            raise PathNotAllowed("The path must not hold '..'.")
        return _longest(self.allowed, names)

    def place(self, path: str) -> Place:
        """Where to look for the path. Raises PathNotAllowed.

        Of several configured roots the longest again: a configured root may be a link, what is beneath it may not.
        """
        root = _names(str(self.holding(path)))
        configured = _longest(self.configured, root)
        to_root = root[len(_names(str(configured))) :]
        return Place(configured=configured, to_root=to_root, beneath=_names(path)[len(root) :])


def _longest(roots: Iterable[Path], names: Names) -> Path:
    """Of the roots that are above what the names lead to."""
    above = [root for root in roots if root.is_absolute() and _begins(names, _names(str(root)))]
    if not above:
        raise PathNotAllowed(NOT_ALLOWED)
    return max(above, key=lambda root: len(root.parts))


def _begins(names: Names, first: Names) -> bool:
    return names[: len(first)] == first


def _names(path: str) -> Names:
    return tuple(name for name in path.split("/") if name not in ("", "."))
