"""One page of the entries of a folder, for somebody who chooses what to send. No file is opened.

A page costs one pass over all names of the folder, but it holds and looks at no more entries than it shows. Everything
here waits for the file system in the calling thread.
"""

import heapq
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gridhaul.source.beneath import find
from gridhaul.source.entries import (
    NOT_SEEN,
    Entry,
    PassedOver,
    broken_link,
    look,
    look_through,
    open_folder,
    passed_over,
)
from gridhaul.source.folder_order import Position
from gridhaul.source.found import Limits, accept
from gridhaul.source.opened import PATH_MAX_BYTES, check_path, closing_descriptor, entered_root, source_error
from gridhaul.source.roots import Names, Roots
from gridhaul.source.walk import normal
from gridhaul.transfer.errors import GridhaulError, PathInvalid, SourceMissing, SourceUnreadable
from gridhaul.transfer.skipping import SkipReason, shown


class Kind(StrEnum):
    """The kind of an entry. A link is a link, wherever it leads."""

    FOLDER = "folder"
    FILE = "file"
    LINK = "link"
    OTHER = "other"  # a socket, a FIFO, a device, or an entry that the server may not look at


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """An entry of a folder as it was when it was looked at."""

    name: str  # as text that can be shown
    path: str  # absolute, as text that can be shown
    kind: Kind
    length: int | None  # of a file; None: it is none
    mtime_ns: int | None  # None: the server may not look at the entry
    refused: PassedOver | None  # why the entry cannot be sent


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """The entries that a page shows: those that lie behind a position and whose names have a prefix."""

    name_prefix: str
    limit: int
    after: Position


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderPage:
    path: str  # absolute
    entries: tuple[Listed, ...]  # in the order of their positions; fewer than asked for if entries vanish meanwhile
    last: Position | None  # the next page goes on after it; None: no more entries follow


def path_beneath(root: str, path: str) -> str:
    """Return the absolute path of what `path` names beneath the root; the root's own path if `path` is empty.

    Raises PathInvalid. Whether the path may leave the root by `..` or by a link is judged when it is looked for.
    """
    absolute = f"{root}/{path}"
    if path.startswith("/") or len(absolute.encode("utf-8", "surrogatepass")) > PATH_MAX_BYTES:
        detail = f"The path must be relative to its root, and have at most {PATH_MAX_BYTES} bytes together with it."
        raise PathInvalid(detail)
    return check_path(absolute)


def folder_page(path: str, roots: Roots, wanted: Slice, *, max_file_bytes: int | None) -> FolderPage:
    """Return a page of the folder at the absolute path. Links to the folder are followed while they stay beneath.

    Raises PathInvalid if the path names no folder, and the source errors.
    """
    place = roots.place(path)
    limits = Limits(max_file_bytes=max_file_bytes, longest_prefix="")
    try:
        with entered_root(place) as root, closing_descriptor(_opened(root, place.beneath)) as descriptor:
            folder = _Folder(root=root, names=place.beneath, path=normal(path), descriptor=descriptor, limits=limits)
            return folder.page(wanted)
    except OSError as error:
        raise _folder_error(error) from error


def _opened(root: int, names: Names) -> int:
    """Return a descriptor for reading the folder. Raises OSError, PathInvalid; nothing but a folder is opened."""
    with closing_descriptor(find(root, names)) as found:
        if not stat.S_ISDIR(os.fstat(found).st_mode):
            raise PathInvalid("The path names no folder.")
        return open_folder(found, ".")


def _folder_error(error: OSError) -> GridhaulError:
    refusal = source_error(error)
    return type(refusal)(_OF_FOLDER.get(type(refusal), refusal.detail))


_OF_FOLDER: dict[type[GridhaulError], str] = {
    SourceMissing: "The server has no folder at this path.",
    SourceUnreadable: "The server may not read this folder.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Folder:
    """An open folder. `names` lead to it from its allowed root, whose descriptor is `root`."""

    root: int
    names: Names
    path: str
    descriptor: int
    limits: Limits

    def page(self, wanted: Slice) -> FolderPage:
        """Return the page. One position more than the page has tells whether another page follows."""
        found = heapq.nsmallest(wanted.limit + 1, self._positions(wanted))
        here = found[: wanted.limit]
        # A folder that changes while it is read may name an entry twice.
        entries = (self._listed(position.text) for position in dict.fromkeys(here))
        return FolderPage(
            path=self.path,
            entries=tuple(entry for entry in entries if entry is not None),
            last=here[-1] if len(found) > wanted.limit else None,
        )

    def _positions(self, wanted: Slice) -> Iterator[Position]:
        prefix = os.fsencode(wanted.name_prefix)
        with os.scandir(self.descriptor) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if name.startswith(prefix):
                    position = Position(behind_folders=not _is_folder(entry), name=name)
                    if position > wanted.after:
                        yield position

    def _listed(self, name: str) -> Listed | None:
        """Return the entry as it is now; None if it has vanished."""
        entry = look(self.descriptor, name)
        if entry.fault is not None and entry.fault.reason is SkipReason.MISSING:
            return None
        kind = _kind(entry)
        return Listed(
            name=shown(name),
            path=shown(self._path_to(name)),
            kind=kind,
            length=entry.status.st_size if kind is Kind.FILE else None,
            mtime_ns=entry.status.st_mtime_ns if entry.status is not NOT_SEEN else None,
            refused=self._refusal(name, entry),
        )

    def _refusal(self, name: str, entry: Entry) -> PassedOver | None:
        """Return why the entry cannot be sent. A link is judged by the place to which it leads."""
        try:
            if entry.fault is not None and entry.fault.reason is SkipReason.LINK:
                entry = look_through(self.root, (*self.names, name))
            if entry.fault is not None:
                return entry.fault
            if entry.is_folder:
                return None if entry.through_link else self._folder_refusal(name)
            accept(self._path_to(name), name, entry.status, self.limits)
        except PassedOver as passed:
            return passed
        except OSError as error:
            return broken_link(error)
        return None

    def _folder_refusal(self, name: str) -> PassedOver | None:
        needed = os.R_OK | os.X_OK
        if os.access(name, needed, dir_fd=self.descriptor, effective_ids=True, follow_symlinks=False):
            return None
        return PassedOver(SkipReason.UNREADABLE, "The server may not read it.")

    def _path_to(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Return whether the entry is a folder. Few file systems do not tell with the name, so that Python has to look."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError as error:
        passed_over(error)
        return False


def _kind(entry: Entry) -> Kind:
    if entry.is_folder:
        return Kind.FOLDER
    if entry.is_link:
        return Kind.LINK
    return Kind.FILE if stat.S_ISREG(entry.status.st_mode) else Kind.OTHER
