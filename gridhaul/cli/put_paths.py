"""Finds the local files that `gridhaul put` sends, and the names under which it sends them."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gridhaul.transfer.errors import InvalidValue
from gridhaul.transfer.naming import check_object_name, has_control_characters
from gridhaul.transfer.skipping import SkipReason, is_utf8, shown

KINDS = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalFile:
    """A file to send. `path` is absolute."""

    path: Path
    name: str
    length_bytes: int
    is_named: bool  # the command names the file; a link at its path is followed then, and nowhere else


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalSkip:
    """A path that is not sent, and why."""

    path: str
    reason: SkipReason
    detail: str


def find(paths: Sequence[str], *, prefix: str | None) -> tuple[list[LocalFile], list[LocalSkip]]:
    """Return the files at and beneath the paths, in the order of the paths' parts as bytes, and what is left out.

    A directory keeps its name in the names of its files, unless its path ends with `/`.
    """
    files: dict[str, LocalFile] = {}
    skipped: list[LocalSkip] = []
    for path in paths:
        for found in _at(path, prefix):
            if isinstance(found, LocalSkip):
                skipped.append(found)
            elif found.name in files:
                detail = f"It would get the name {found.name}, which {files[found.name].path} has."
                skipped.append(_skip(found.path, SkipReason.NAME_CLASH, detail))
            else:
                files[found.name] = found
    return [*files.values()], skipped


def named(path: str, name: str) -> tuple[list[LocalFile], list[LocalSkip]]:
    """Return the single file at the path, under the name."""
    found = _looked_at(Path(path).absolute(), name, follow_symlinks=True)
    if found is None:
        found = _skip(Path(path), SkipReason.SPECIAL, "It is a directory, and --name names a single file.")
    return ([found], []) if isinstance(found, LocalFile) else ([], [found])


def _at(path: str, prefix: str | None) -> Iterator[LocalFile | LocalSkip]:
    """Yield what is at the path, which is followed if it is a link, and beneath it, where links are skipped."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps `..`
    begin = "" if prefix is None else f"{prefix.rstrip('/')}/"
    found = _looked_at(whole, begin + whole.name, follow_symlinks=True)
    if found is not None:
        yield found
        return
    yield from _beneath(whole, begin if path.endswith("/") or not whole.name else f"{begin}{whole.name}/")


def _beneath(folder: Path, begin: str) -> Iterator[LocalFile | LocalSkip]:
    """Yield the files beneath the folder. The walk keeps its own stack, because folders may be nested deeply."""
    stack = [iter([(folder, begin)])]
    while stack:
        here = next(stack[-1], None)
        if here is None:
            stack.pop()
            continue
        path, name = here
        if path != folder:
            found = _looked_at(path, name, follow_symlinks=False)
            if found is not None:
                yield found
                continue
        try:
            entries = sorted(os.listdir(path), key=os.fsencode)  # noqa: PTH208 - names are needed, not paths
        except OSError as error:
            yield _unreadable(path, error)
            continue
        parent = name if path == folder else f"{name}/"
        stack.append(iter([(path / entry, parent + entry) for entry in entries]))


def _looked_at(path: Path, name: str, *, follow_symlinks: bool) -> LocalFile | LocalSkip | None:
    """Return the file, or why it is not sent; None for a folder."""
    try:
        status = path.stat(follow_symlinks=follow_symlinks)
    except OSError as error:
        return _unreadable(path, error)
    if stat.S_ISDIR(status.st_mode):
        return None
    if stat.S_ISLNK(status.st_mode):
        return _skip(path, SkipReason.LINK, "It is a symbolic link.")
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        return _skip(path, SkipReason.SPECIAL, f"It is {kind}, not a regular file.")
    if not is_utf8(name):
        return _skip(path, SkipReason.NOT_UTF8, "Its name is not UTF-8.")
    if has_control_characters(name):
        return _skip(path, SkipReason.CONTROL_CHARACTERS, "Its name holds control characters.")
    try:
        checked = check_object_name(name)
    except InvalidValue as error:
        return _skip(path, SkipReason.NAME_REFUSED, error.detail)
    return LocalFile(path=path, name=checked, length_bytes=status.st_size, is_named=follow_symlinks)


def _unreadable(path: Path, error: OSError) -> LocalSkip:
    reason = SkipReason.MISSING if isinstance(error, FileNotFoundError) else SkipReason.UNREADABLE
    return _skip(path, reason, f"It cannot be read: {error.strerror}.")


def _skip(path: Path, reason: SkipReason, detail: str) -> LocalSkip:
    return LocalSkip(path=shown(str(path)), reason=reason, detail=detail)
