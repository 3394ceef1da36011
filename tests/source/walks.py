"""Walks in one call, for tests."""

from collections.abc import Iterator
from pathlib import Path

from gridhaul.source.found import Found, Limits, Passed
from gridhaul.source.roots import Roots
from gridhaul.source.selection import Selection
from gridhaul.source.walk import Walk, walk_source
from gridhaul.transfer.batches import Choice, Skipped

NO_LIMITS = Limits(max_file_bytes=None, longest_prefix="")
Item = Found | Skipped


class Items:
    """The items of a walk, without the steps at which nothing was found."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk

    @property
    def excluded(self) -> int:
        return self._walk.excluded

    def __iter__(self) -> Iterator[Item]:
        return (step for step in self._walk if not isinstance(step, Passed))


def walk(
    source: Path | str,
    choice: Choice | None = None,
    *,
    root: Path | None = None,
    name: str = "",
    limits: Limits = NO_LIMITS,
    after: str = "",
) -> Items:
    """Return the items of the walk of a source beneath the root; the source is the root if none is given."""
    return Items(steps(source, choice, root=root, name=name, limits=limits, after=after))


def steps(
    source: Path | str,
    choice: Choice | None = None,
    *,
    root: Path | None = None,
    name: str = "",
    limits: Limits = NO_LIMITS,
    after: str = "",
    unmatched: bool = False,
) -> Walk:
    """Return the walk of a source beneath the root; the source is the root if none is given."""
    roots = Roots.any_of((root or Path(source),))
    selection = Selection(choice or Choice())
    return walk_source(
        str(source), roots, name=name, selection=selection, limits=limits, after=after, unmatched=unmatched
    )


def names_of(source: Path | str, choice: Choice | None = None, *, root: Path | None = None) -> list[str]:
    """Return the names of the files that are found, in the order of the walk."""
    return [item.name for item in walk(source, choice, root=root) if isinstance(item, Found)]


def reasons_of(source: Path | str, choice: Choice | None = None, *, root: Path | None = None) -> dict[str, str]:
    """Return the reason for each skipped path, as shown beneath the source."""
    skipped = [item for item in walk(source, choice, root=root) if isinstance(item, Skipped)]
    return {item.path.replace(f"{source}/", "", 1): item.reason for item in skipped}
