"""Finds the files of one source of a batch: a file, a folder with all that is beneath it, or a pattern.

Everything here waits for the file system in the calling thread. Only `walk_source` takes patterns; a path of a list is
taken as it is written.
"""

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack

from gridhaul.source.entries import Entry, PassedOver, look_through
from gridhaul.source.found import Found, Limits, Passed, accept
from gridhaul.source.opened import check_path, entered_root, source_error
from gridhaul.source.patterns import WILD, Glob
from gridhaul.source.roots import Roots
from gridhaul.source.selection import Selection, Verdict
from gridhaul.source.tree import Rest, Tree
from gridhaul.transfer.batches import Skipped
from gridhaul.transfer.errors import GridhaulError, NotARegularFile, PatternInvalid, SourceReadFailed
from gridhaul.transfer.skipping import SkipReason, path_of, shown

MAX_PATTERN_CHARACTERS = 2**18  # of the patterns among the sources of one batch


class Walk:
    """The files at and beneath one path. Iterate once.

    `after` is the `path` of a step that an earlier walk yielded; "" for the beginning. `unmatched` is what the earlier
    walk had then. The name of a single file is `name`. The files of a folder have names that begin with `name` and `/`,
    or if `name` is "" with their own path beneath the folder.
    """

    def __init__(
        self,
        path: str,
        roots: Roots,
        *,
        name: str,
        selection: Selection,
        limits: Limits,
        after: str,
        glob: Glob | None,
        unmatched: bool = False,
    ) -> None:
        self._path = path
        self._roots = roots
        self._name = name
        self._selection = selection
        self._limits = limits
        self._after = after
        self._glob = glob
        self._tree: Tree | None = None
        self.unmatched = glob is not None and (unmatched or not after)  # nothing has matched the pattern yet

    @property
    def excluded(self) -> int:
        """How many files and folders the selection has left out since `after`, up to the step that was yielded last."""
        return self._tree.excluded if self._tree is not None else 0

    def __iter__(self) -> Generator[Found | Skipped | Passed]:
        """Yield a step for each file and folder, in the order of the paths' parts as bytes, strictly after `after`.

        Raises SourceReadFailed, SourceUnavailable.
        """
        for step in self._steps():
            self.unmatched &= isinstance(step, Passed)
            yield step
        if self._glob is not None and self.unmatched:
            self.unmatched = False
            text = "/".join((self._path.rstrip("/"), *self._glob.parts))
            detail = "Nothing matches the pattern, or all of it is left out."
            yield Skipped(path=shown(text), reason=SkipReason.NO_MATCH, detail=detail)

    def _steps(self) -> Iterator[Found | Skipped | Passed]:
        with ExitStack() as opened:
            try:
                tree, entry = self._begin(opened)
            except SourceReadFailed:
                raise
            except GridhaulError as error:
                if not self._after:
                    yield Skipped(path=shown(self._path), reason=error.code, detail=error.detail)
                return
            self._tree = tree
            yield from tree.steps(entry, self._rest())

    def _begin(self, opened: ExitStack) -> tuple[Tree, Entry]:
        path = normal(check_path(self._path))
        place = self._roots.place(path)
        try:
            root = opened.enter_context(entered_root(place))
            entry = look_through(root, place.beneath)
        except OSError as error:
            raise source_error(error) from error
        tree = Tree(
            root=root,
            names=place.beneath,
            path=path,
            name=self._name,
            selection=self._selection,
            glob=self._glob,
            limits=self._limits,
        )
        return tree, entry

    def _rest(self) -> Rest:
        if not self._after:
            return None
        after = tuple(os.fsencode(part) for part in _parts(path_of(self._after)))
        own = tuple(os.fsencode(part) for part in _parts(self._path))
        if after[: len(own)] != own:
            raise ValueError("The path to go on after is not beneath the path that is walked.")
        return after[len(own) :]


def look_at(path: str, roots: Roots, *, name: str, selection: Selection, limits: Limits, after: str) -> Walk:
    """Return the walk of a path that is taken as it is written, such as one of a list.

    A path that is no file and no folder is yielded as skipped. The selection holds only beneath the path.
    """
    return Walk(path, roots, name=name, selection=selection, limits=limits, after=after, glob=None)


def look_at_file(path: str, roots: Roots, *, name: str, limits: Limits) -> Found | Skipped:
    """Return the file at a path that is taken as it is written; skip a folder and whatever else is no regular file.

    Raises SourceReadFailed, SourceUnavailable.
    """
    try:
        place = roots.place(check_path(path))
        with entered_root(place) as root:
            entry = look_through(root, place.beneath)
        if entry.is_folder:
            raise NotARegularFile("It is a folder.")
        if entry.fault is not None:
            raise entry.fault
        return accept(normal(path), name, entry.status, limits)
    except PassedOver as passed:
        return Skipped(path=shown(path), reason=passed.reason, detail=passed.detail)
    except OSError as error:
        refusal = source_error(error)
    except GridhaulError as error:
        refusal = error
    if isinstance(refusal, SourceReadFailed):
        raise refusal
    return Skipped(path=shown(path), reason=refusal.code, detail=refusal.detail)


def walk_source(
    source: str, roots: Roots, *, name: str, selection: Selection, limits: Limits, after: str, unmatched: bool
) -> Walk:
    """Return the walk of a path, or of the pattern `source` if nothing has that path.

    The files that a pattern matches are named by their path beneath the folder that the pattern begins with, after
    `name`. A folder that it matches is taken with everything beneath it. Raises PatternInvalid.
    """
    folder, parts = split_pattern(source)
    if not parts or (_lies_beneath(after, source) if after else _exists(source, roots)):
        return look_at(source, roots, name=name, selection=selection, limits=limits, after=after)
    return Walk(
        folder,
        roots,
        name=name,
        selection=selection,
        limits=limits,
        after=after,
        glob=Glob(parts),
        unmatched=unmatched,
    )


def check_sources(sources: Sequence[str]) -> None:
    """Raise PathInvalid, PatternInvalid unless each source is a path or a pattern that can be walked.

    Patterns take about a second if they have as many characters as they may have.
    """
    patterns = [parts for _, parts in map(split_pattern, map(check_path, sources)) if parts]
    if sum(len(part) for parts in patterns for part in parts) > MAX_PATTERN_CHARACTERS:
        raise PatternInvalid(
            f"The paths that hold `*`, `?`, `[` or a backslash may have at most {MAX_PATTERN_CHARACTERS} characters "
            "together; name fewer of them, or send a list, whose paths are taken as they are written."
        )
    for parts in patterns:
        Glob(parts)


def split_pattern(source: str) -> tuple[str, tuple[str, ...]]:
    """Return the folder that a pattern begins with, and the parts of the pattern; no parts if it is a plain path."""
    parts = _parts(source)
    literal = next((n for n, part in enumerate(parts) if WILD.search(part)), None)
    if literal is None:
        return source, ()
    return "/" + "/".join(parts[:literal]), parts[literal:]


class AskedFor:
    """Tells which files a source stands for, by their paths alone."""

    def __init__(self, source: str, selection: Selection) -> None:
        folder, pattern = split_pattern(source)
        self._depth = len(_parts(folder))
        self._glob = Glob(pattern) if pattern else None
        self._selection = selection

    def holds(self, path: str) -> bool:
        """Return whether the walk would yield a file of this path, which lies beneath the source's folder."""
        parts, glob = _parts(path)[self._depth :], self._glob
        asked, included = glob is None, False
        for count in range(1, len(parts) + 1):
            beneath, is_folder = "/".join(parts[:count]), count < len(parts)
            if glob is not None and not asked:
                asked = glob.match(beneath, folder=is_folder)
                if not asked and not (is_folder and glob.leads_through(beneath)):
                    return False
            verdict = self._selection.verdict(beneath, folder=is_folder, in_included=included)
            if verdict is Verdict.EXCLUDED:
                return False
            included = verdict is Verdict.INCLUDED
        return asked


def _exists(path: str, roots: Roots) -> bool:
    try:
        place = roots.place(check_path(path))
        with entered_root(place) as root:
            look_through(root, place.beneath)
    except (OSError, GridhaulError):
        return False
    return True


def _lies_beneath(path: str, folder: str) -> bool:
    """Return whether the path, as it is shown, is the folder or lies beneath it."""
    own = _parts(folder)
    return _parts(path_of(path))[: len(own)] == own


def normal(path: str) -> str:
    """Return the absolute path without empty parts and without `.`."""
    return "/" + "/".join(_parts(path))


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part not in ("", "."))
