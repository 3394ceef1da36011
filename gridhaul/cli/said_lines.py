"""Lines on stderr for logs: each line stays, and a line that would repeat the last one is left out."""

import math
import time
from collections.abc import Callable

import typer

from gridhaul.cli.text import safe


class SaidLines:
    """A display that only says lines. It remembers the last line, and when that was said."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_line = ""
        self._last_time = -math.inf

    def say(self, line: str) -> None:
        self._last_line, self._last_time = line, self._clock()
        typer.echo(safe(line), err=True)

    def note(self, line: str) -> None:
        """Say the line, unless it was the last one."""
        if line != self._last_line:
            self.say(line)

    def _is_due(self, seconds: float) -> bool:
        """Return whether nothing was said for so many seconds."""
        return self._clock() - self._last_time >= seconds

    def _begin_stage(self) -> None:
        """Make the next line due at once, also if it is the same as the last one."""
        self._last_line, self._last_time = "", -math.inf
