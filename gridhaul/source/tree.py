"""Walks everything beneath one place, in the order of the paths' parts as bytes, and from any item on.

Every folder is entered by its name in the folder above, whose descriptor is open: a folder that is replaced by a link
meanwhile leads nowhere. Other file systems that are mounted beneath the place are walked, too.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gridhaul.source.entries import (
    Entry,
    PassedOver,
    broken_link,
    look,
    look_through,
    open_folder,
    open_folder_through,
    passed_over,
)
from gridhaul.source.found import Found, Limits, Passed, accept
from gridhaul.source.patterns import Glob
from gridhaul.source.roots import Names
from gridhaul.source.selection import Selection, Verdict
from gridhaul.transfer.batches import Skipped
from gridhaul.transfer.naming import has_control_characters
from gridhaul.transfer.skipping import SkipReason, is_utf8, shown

MAX_DEPTH = 256  # folders: one descriptor is open for each folder above the entry that is looked at
Rest = tuple[bytes, ...] | None  # the parts of the path to go on after, as seen from a place; None: it is not beneath


class _Chosen(NamedTuple):
    asked: bool  # the source's own pattern matches the folder or one above it
    included: bool  # the choice's patterns do


@dataclass(frozen=True, kw_only=True, slots=True)
class _Folder:
    """A folder that is being walked."""

    descriptor: int
    beneath: str  # its path beneath the place that is walked
    above: "_Folder | None"
    depth: int
    chosen: _Chosen
    names: list[str]  # of the entries that are still to be looked at, the next one last
    rest: Rest
    device_and_inode: tuple[int, int]

    def path_to(self, name: str) -> str:
        return f"{self.beneath}/{name}" if self.beneath else name

    def rest_at(self, name: str) -> Rest:
        """Return the part of `rest` that leads on from this entry; None if it does not lead through the entry."""
        return self.rest[1:] if self.rest and os.fsencode(name) == self.rest[0] else None

    def is_beneath(self, status: os.stat_result) -> bool:
        """Return whether the folder is the one of this status, or beneath it."""
        folder: _Folder | None = self
        while folder is not None and folder.device_and_inode != _which(status):
            folder = folder.above
        return folder is not None


def _which(status: os.stat_result) -> tuple[int, int]:
    """Return what tells a folder from every other folder."""
    return status.st_dev, status.st_ino


class Tree:
    """The files at and beneath one place. Iterate `items` once.

    `root` is a descriptor of the allowed root, `names` lead from there to the place, and `path` is the place's path.
    """

    def __init__(
        self,
        *,
        root: int,
        names: Names,
        path: str,
        name: str,
        selection: Selection,
        glob: Glob | None,
        limits: Limits,
    ) -> None:
        self.excluded = 0
        self._root = root
        self._names = names
        self._path = path
        self._name = name
        self._selection = selection
        self._glob = glob
        self._limits = limits
        self._above: frozenset[tuple[int, int]] | None = None

    def steps(self, entry: Entry, rest: Rest) -> Iterator[Found | Skipped | Passed]:
        """Yield a step for each file and folder. `entry` is the place itself.

        `rest` leads from the place to the last step that was yielded before; it is () if that was the place itself.
        """
        chosen = _Chosen(asked=self._glob is None, included=False)
        first = self._guarded(entry, beneath="", above=None, chosen=chosen, rest=rest)
        if isinstance(first, _Folder):
            yield from self._beneath(first)
        elif first is not None and rest is None:
            yield first

    def _beneath(self, first: _Folder) -> Iterator[Found | Skipped | Passed]:
        folders = [first]
        try:
            while folders:
                folder = folders[-1]
                if not folder.names:
                    os.close(folders.pop().descriptor)
                    continue
                name = folder.names.pop()
                rest = folder.rest_at(name)
                step = self._look(folder, name, rest)
                if isinstance(step, _Folder):
                    folders.append(step)
                    step = None
                if rest is None:
                    yield step or Passed(path=shown(self._path_of(folder.path_to(name))))
        finally:
            for folder in folders:
                os.close(folder.descriptor)

    def _look(self, folder: _Folder, name: str, rest: Rest) -> Found | Skipped | _Folder | None:
        beneath = folder.path_to(name)
        entry = look(folder.descriptor, name)
        if entry.is_link and self._selection.choice.follow_links:
            entry = self._followed(entry, folder, beneath)
        chosen = self._choose(folder, beneath, is_folder=entry.is_folder, was_counted=rest is not None)
        if chosen is None:
            return None
        return self._guarded(entry, beneath=beneath, above=folder, chosen=chosen, rest=rest)

    def _followed(self, link: Entry, folder: _Folder, beneath: str) -> Entry:
        if not is_utf8(beneath) or has_control_characters(beneath):
            return link
        try:
            entry = look_through(self._root, (*self._names, *beneath.split("/")))
        except OSError as error:
            return Entry(status=link.status, fault=broken_link(error))
        if entry.is_folder and (folder.is_beneath(entry.status) or _which(entry.status) in self._above_start()):
            return Entry(
                status=entry.status, fault=PassedOver(SkipReason.LINK_LOOP, "The link leads to a folder above it.")
            )
        return entry

    def _above_start(self) -> frozenset[tuple[int, int]]:
        """Return the folders from the allowed root to the place, without the place itself."""
        if self._above is None:
            leading = (self._names[:count] for count in range(len(self._names)))
            self._above = frozenset(_which(look_through(self._root, names).status) for names in leading)
        return self._above

    def _choose(self, folder: _Folder, beneath: str, *, is_folder: bool, was_counted: bool) -> _Chosen | None:
        asked, included = folder.chosen
        if not asked and self._glob is not None:
            asked = self._glob.match(beneath, folder=is_folder)
            if not asked and not (is_folder and self._glob.leads_through(beneath)):
                return None
        verdict = self._selection.verdict(beneath, folder=is_folder, in_included=included)
        if verdict is Verdict.EXCLUDED:
            self.excluded += not was_counted
            return None
        return _Chosen(asked=asked, included=verdict is Verdict.INCLUDED)

    def _guarded(
        self, entry: Entry, *, beneath: str, above: _Folder | None, chosen: _Chosen, rest: Rest
    ) -> Found | Skipped | _Folder | None:
        """Take the file or enter the folder; say why if that fails."""
        try:
            if entry.fault is not None:
                raise entry.fault
            if entry.is_folder:
                return self._enter(entry, beneath=beneath, above=above, chosen=chosen, rest=rest)
            return accept(self._path_of(beneath), self._name_of(beneath), entry.status, self._limits)
        except OSError as error:
            why = passed_over(error)
        except PassedOver as passed:
            why = passed
        return Skipped(path=shown(self._path_of(beneath)), reason=why.reason, detail=why.detail)

    def _enter(
        self, entry: Entry, *, beneath: str, above: _Folder | None, chosen: _Chosen, rest: Rest
    ) -> _Folder | None:
        depth = above.depth + 1 if above is not None else 0
        if depth >= MAX_DEPTH:
            raise PassedOver(SkipReason.TOO_DEEP, f"Only {MAX_DEPTH} folders that lie in each other are walked.")
        descriptor = self._open(entry, beneath, above)
        try:
            status = os.fstat(descriptor)
            with os.scandir(descriptor) as entries:
                names = [one.name for one in entries]
            if not names and self._selection.choice.empty_folders:
                raise PassedOver(SkipReason.EMPTY_FOLDER, "The folder is empty.")
        except (OSError, PassedOver):
            os.close(descriptor)
            raise
        return _Folder(
            descriptor=descriptor,
            beneath=beneath,
            above=above,
            depth=depth,
            chosen=chosen,
            names=_in_order(names, rest),
            rest=rest,
            device_and_inode=_which(status),
        )

    def _open(self, entry: Entry, beneath: str, above: _Folder | None) -> int:
        if above is None or entry.through_link:
            return open_folder_through(self._root, (*self._names, *beneath.split("/")) if beneath else self._names)
        return open_folder(above.descriptor, beneath.rpartition("/")[2])

    def _name_of(self, beneath: str) -> str:
        return f"{self._name}/{beneath}" if self._name and beneath else self._name or beneath

    def _path_of(self, beneath: str) -> str:
        return f"{self._path.rstrip('/')}/{beneath}" if beneath else self._path


def _in_order(names: list[str], rest: Rest) -> list[str]:
    """Return the names from the last one to the first, without those that lie before `rest`."""
    first = rest[0] if rest else b""
    return sorted((name for name in names if os.fsencode(name) >= first), key=os.fsencode, reverse=True)
