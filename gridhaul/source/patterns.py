"""Patterns as gitignore has them, matched in a time that grows only with the length of the path.

`pathspec` translates each pattern to a regular expression, and RE2 matches all of them at once. Python's own `re` can
take hours over a pattern with many stars, and nothing could interrupt it.
"""

import re
from collections.abc import Iterable, Sequence

import re2
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from gridhaul.transfer.errors import InternalError, PatternInvalid
from gridhaul.transfer.naming import has_control_characters

MAX_MEMORY_BYTES = 64 * 2**20  # RE2's bound for the patterns of one list and for the states that it remembers
WILD = re.compile(r"[*?\[\\]")  # a part of a path that holds one of these is a pattern
_FOLDER_MARK = "(?P<ps_d>/)"  # pathspec's regular expressions mark the end of the file or folder that they name
_FOLDERS_BENEATH = re.compile(r"(?<![^/!])\*\*/$")  # pathspec lets `a/**/` match `a` itself; gitignore does not
_NEGATED = re.compile(r"\[\^(\]?)")  # pathspec lets `[!a]` match a slash; gitignore does not


class Patterns:
    """An ordered list of patterns; the last one that matches decides. Raises PatternInvalid.

    The patterns are relative to the folder that is walked. Beneath a folder that matches, nothing has to be asked.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        options = re2.Options()
        options.max_mem, options.dot_nl, options.log_errors = MAX_MEMORY_BYTES, True, False
        self._set = re2.Set.SearchSet(options)
        self._set.Add(".")  # matches every path, so that no answer at all means that RE2 gave up
        self._takes = [False]
        for line in lines:
            self._add(line)
        self._compile()

    def match(self, beneath: str, *, folder: bool) -> bool:
        """Return whether the patterns match the file or folder itself, by its path beneath the walked folder."""
        text = f"{beneath}/" if folder else beneath
        matching: list[int] | None = self._set.Match(text.encode("utf-8", "replace"))
        if not matching:
            raise InternalError("The patterns need more memory than they may have.")
        return self._takes[max(matching)]

    def _compile(self) -> None:
        try:
            self._set.Compile()
        except re2.error:
            raise PatternInvalid("The patterns are too long.") from None

    def _add(self, line: str) -> None:
        try:
            regex, takes = GitIgnoreSpecPattern.pattern_to_regex(_FOLDERS_BENEATH.sub("**/*/", line))
            if regex is not None and takes is not None and not has_control_characters(line):
                self._set.Add(_of_itself(regex))
                self._takes.append(takes)
            elif line.strip() and not line.startswith("#"):
                raise ValueError(line)
        except (ValueError, re2.error):
            raise PatternInvalid(f"The pattern {line!r} is not valid.") from None


class Glob:
    """The pattern of a source, such as `run-*/**/[ab].h5`, in parts and relative to the folder that it begins with.

    A folder that it matches is taken with everything beneath it. Raises PatternInvalid.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        self.parts = tuple(parts)
        self._whole = Patterns([_anchored(self.parts)])
        leading = self.parts[:-1]
        # `**` stands for any number of folders, so every folder beneath is above something.
        self._any_from = leading.index("**") if "**" in leading else None
        self._compiled: dict[int, Patterns] = {}

    def match(self, beneath: str, *, folder: bool) -> bool:
        """Return whether the pattern matches the file or folder itself."""
        return self._whole.match(beneath, folder=folder)

    def leads_through(self, beneath: str) -> bool:
        """Return whether something beneath this folder can match."""
        names = beneath.split("/")
        if self._any_from is None and len(names) >= len(self.parts):
            return False
        return all(self._part(n).match(name, folder=True) for n, name in enumerate(names[: self._any_from]))

    def _part(self, number: int) -> Patterns:
        """Return the pattern of one part. It is compiled when it is needed: all at once would take seconds."""
        if number not in self._compiled:
            self._compiled[number] = Patterns([_anchored((self.parts[number],))])
        return self._compiled[number]


def _of_itself(regex: str) -> str:
    """Return the regular expression that matches a file, or a folder with `/` after it, but nothing beneath it."""
    regex = _NEGATED.sub(r"[^\1/", regex)
    if _FOLDER_MARK in regex:
        return f"{regex}$"
    return f"{regex}." if regex.endswith("/") else regex


def _anchored(parts: Sequence[str]) -> str:
    pattern = "/" + "/".join(parts)
    kept = pattern.rstrip(" ")  # gitignore drops spaces at the end that no backslash protects
    return kept + "\\ " * (len(pattern) - len(kept))
