"""Finds the files that the lines of a list or a manifest name. Everything here waits for the file system.

A path of a list is taken as it is written; a folder stands for all that is beneath it. A manifest names only files.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from gridhaul.source.found import Found, Limits, Passed
from gridhaul.source.opened import PATH_MAX_BYTES
from gridhaul.source.roots import Roots
from gridhaul.source.selection import Selection
from gridhaul.source.walk import Walk, look_at, look_at_file, normal
from gridhaul.transfer.batches import Skipped
from gridhaul.transfer.listed import Listed
from gridhaul.transfer.lists import ListFormat, ListPage
from gridhaul.transfer.model import Expected
from gridhaul.transfer.skipping import SkipReason, shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The place in a list up to which it was looked at."""

    entry: int  # the number of the page's entry that is being looked at, from 0
    after: str  # the `path` of the step of this entry that was yielded last; "": none was


class ListedWalk:
    """The files that one page of a list names. Iterate once.

    `base` is the folder to which paths and names are relative. If it is None, every path is absolute, and names are as
    those of sources without a list.
    """

    def __init__(
        self,
        page: ListPage,
        list_format: ListFormat,
        roots: Roots,
        *,
        base: str | None,
        selection: Selection,
        limits: Limits,
        place: Place,
    ) -> None:
        self._page = page
        self._format = list_format
        self._roots = roots
        self._base = f"{normal(base).rstrip('/')}/" if base is not None else None
        self._selection = selection
        self._limits = limits
        self._place = place
        self.entry = place.entry  # the number of the entry of the step that was yielded last
        self._excluded = 0
        self._walk: Walk | None = None

    @property
    def excluded(self) -> int:
        """How many files and folders the selection has left out since `place`, up to the step that was yielded last."""
        return self._excluded + (self._walk.excluded if self._walk is not None else 0)

    def __iter__(self) -> Generator[Found | Skipped | Passed]:
        """Yield a step for each file and folder, after `place`.

        Raises SourceReadFailed, SourceUnavailable.
        """
        for number, entry in enumerate(self._page.entries(self._format)):
            if number >= self._place.entry:
                self.entry = number
                after = self._place.after if number == self._place.entry else ""
                yield from self._steps(entry, after)

    def _steps(self, entry: Listed | Skipped, after: str) -> Iterator[Found | Skipped | Passed]:
        if isinstance(entry, Listed) and not self._format.is_manifest:
            yield from self._of_list(entry, after)
        elif not after:
            yield self._of_manifest(entry) if isinstance(entry, Listed) else entry

    def _of_list(self, entry: Listed, after: str) -> Iterator[Found | Skipped | Passed]:
        path = self._path(entry)
        if isinstance(path, Skipped):
            yield from () if after else (path,)
            return
        name = self._name(path)
        walk = look_at(path, self._roots, name=name, selection=self._selection, limits=self._limits, after=after)
        self._walk = walk
        with closing(iter(walk)) as steps:
            yield from steps
        self._walk, self._excluded = None, self.excluded

    def _of_manifest(self, entry: Listed) -> Found | Skipped:
        path = self._path(entry)
        if isinstance(path, Skipped):
            return path
        found = look_at_file(path, self._roots, name=self._name(path), limits=self._limits)
        if isinstance(found, Skipped):
            return found
        return replace(found, expected=Expected(length=entry.length, sha256=entry.sha256))

    def _path(self, entry: Listed) -> str | Skipped:
        """Return the absolute path, or why it is skipped before anybody looks at it."""
        path = entry.path if entry.path.startswith("/") else f"{self._base or '/'}{entry.path}"
        if len(path.encode()) > PATH_MAX_BYTES:
            detail = f"Line {entry.line}: The path has more than {PATH_MAX_BYTES} bytes."
            return Skipped(path=shown(path[:PATH_MAX_BYTES]), reason=SkipReason.PATH_TOO_LONG, detail=detail)
        if self._base is not None and not f"{normal(path)}/".startswith(self._base):
            detail = f"Line {entry.line}: The path does not lie beneath the base of the batch."
            return Skipped(path=shown(path), reason=SkipReason.NOT_BENEATH_BASE, detail=detail)
        return path

    def _name(self, path: str) -> str:
        if self._base is not None:
            return f"{normal(path)}/".removeprefix(self._base).strip("/")
        return "" if path.endswith("/") else PurePosixPath(path).name
