"""Shows a running download on stderr: as a bar on a terminal, as lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Group

from gridhaul.cli import text
from gridhaul.cli.bars import Bar, Speed
from gridhaul.cli.display import LINE_SECONDS
from gridhaul.cli.said_lines import SaidLines
from gridhaul.cli.terminal import FittedLine, drawn, stderr_terminal


class GetDisplay(Protocol):
    def begin(self, title: str, length_bytes: int) -> None:
        """Show which file is downloaded."""

    def show(self, done_bytes: int) -> None:
        """Show how much has arrived."""

    def note(self, line: str) -> None:
        """Show the reason to wait, until the next `show`."""


class Lines(SaidLines):
    """A display for logs: a line at the beginning, at the end, and every 5 s between if bytes have arrived."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._speed = Speed()
        self._length_bytes = 0

    def begin(self, title: str, length_bytes: int) -> None:
        self._length_bytes = length_bytes
        self.say(title)
        self._begin_stage()

    def show(self, done_bytes: int) -> None:
        rate = self._speed.after(done_bytes, self._clock())
        if self._is_due(LINE_SECONDS) or done_bytes == self._length_bytes:
            self.say(text.progress(done_bytes, self._length_bytes, rate))


class BarOfGet:
    """A display for terminals: a title, the bar, and below it what the download waits for, if anything."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._speed = Speed()
        self._length_bytes = 0
        self._shown: list[FittedLine | Bar] = []
        self._note: list[FittedLine] = []

    def __rich__(self) -> Group:
        return Group(*self._shown, *self._note)

    def begin(self, title: str, length_bytes: int) -> None:
        self._length_bytes = length_bytes
        self._shown = [FittedLine(line=title)]

    def show(self, done_bytes: int) -> None:
        bar = Bar(
            word="downloading",
            done_bytes=done_bytes,
            length_bytes=self._length_bytes,
            rate=self._speed.after(done_bytes, self._clock()),
            over=done_bytes >= self._length_bytes,
        )
        self._shown, self._note = [*self._shown[:1], bar], []

    def note(self, line: str) -> None:
        self._note = [FittedLine(line=line, style="yellow")]


@contextmanager
def get_display() -> Iterator[GetDisplay]:
    """Yield the display that fits stderr. A bar stays after a normal end, and vanishes after an exception."""
    console = stderr_terminal()
    if console is None:
        yield Lines()
        return
    with drawn(BarOfGet(), console, redirect_stdout=False) as bar:
        yield bar
