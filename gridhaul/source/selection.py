"""Decides which of the files beneath a folder belong to a batch: patterns as gitignore has them, and hidden names."""

from enum import Enum, auto

from gridhaul.source.patterns import Patterns
from gridhaul.transfer.batches import Choice
from gridhaul.transfer.errors import PatternInvalid

MAX_PATTERNS = 1000  # of one choice, included and excluded together
MAX_CHARACTERS = 16_384  # of the patterns of one choice together


class Verdict(Enum):
    """The selection's answer about one file or folder."""

    INCLUDED = auto()  # the file is taken; beneath the folder, everything is that is not excluded
    ENTERED = auto()  # the folder is not included itself, but files beneath it may be
    EXCLUDED = auto()


class Selection:
    """A choice, ready for use. Raises PatternInvalid if a pattern is invalid, too long, or one too many."""

    def __init__(self, choice: Choice) -> None:
        patterns = (*choice.include, *choice.exclude)
        if len(patterns) > MAX_PATTERNS or sum(len(pattern) for pattern in patterns) > MAX_CHARACTERS:
            raise PatternInvalid(
                f"At most {MAX_PATTERNS} patterns with {MAX_CHARACTERS} characters together are taken."
            )
        self.choice = choice
        self._include = Patterns(choice.include) if choice.include else None
        self._exclude = Patterns(choice.exclude) if choice.exclude else None

    def verdict(self, beneath: str, *, folder: bool, in_included: bool) -> Verdict:
        """Judge a file or folder by its path beneath the folder that is walked.

        `in_included` says whether a folder above it is included.
        """
        if not self.choice.hidden and beneath.rpartition("/")[2].startswith("."):
            return Verdict.EXCLUDED
        if self._exclude is not None and self._exclude.match(beneath, folder=folder):
            return Verdict.EXCLUDED
        if in_included or self._include is None or self._include.match(beneath, folder=folder):
            return Verdict.INCLUDED
        return Verdict.ENTERED if folder else Verdict.EXCLUDED
