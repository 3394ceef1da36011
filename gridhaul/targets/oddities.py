"""Names that some WebDAV servers do not keep: what is odd in them, and an example of each kind for the probe."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True, kw_only=True, slots=True)
class Oddity:
    """A property of names that some servers do not keep."""

    label: str  # as people read it, and as facts of a target hold it
    example: str  # a name that has the oddity
    mangled: str | None  # the name under which a server that loses the oddity may store the example
    is_in: Callable[[str], bool]  # whether a part of a name has the oddity


def _holds(character: str, part: str) -> bool:
    return character in part


def _ends(character: str, part: str) -> bool:
    return part.endswith(character)


def _character(character: str, mangled: str | None, *, follows: str = "") -> Oddity:
    return Oddity(
        label=f"the character {character!r}",
        example=f"x{character}{follows}x",
        mangled=mangled,
        is_in=partial(_holds, character),
    )


ODDITIES = (
    _character("?", "x"),
    _character("#", "x"),
    _character(";", "x"),
    _character("%", "xAx", follows="41"),
    _character("+", "x x"),
    _character("&", "x"),
    _character(" ", "x+x"),
    _character("\\", None),
    Oddity(label="characters outside ASCII", example="xé☃😀", mangled=None, is_in=lambda part: not part.isascii()),
    Oddity(label="a dot at its end", example="x.", mangled="x", is_in=partial(_ends, ".")),
    Oddity(label="a space at its end", example="x ", mangled="x", is_in=partial(_ends, " ")),
)


def lost_in(name: str, lost: frozenset[str]) -> Oddity | None:
    """Return an oddity of the name whose label is in `lost`; None if the name has none of them."""
    for oddity in ODDITIES:
        if oddity.label in lost and any(oddity.is_in(part) for part in name.split("/")):
            return oddity
    return None
