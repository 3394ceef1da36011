"""A sender of hints that sends nothing, for tests that look at the hints."""

from gridhaul.transfer.model import Hint


class NotedHints:
    """A `transfer.ports.hints.Hints` that puts each hint into a list."""

    def __init__(self, noted: list[Hint]) -> None:
        self._noted = noted

    def offer(self, hint: Hint) -> None:
        self._noted.append(hint)
