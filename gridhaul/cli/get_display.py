"""Shows a running download on stderr: as a bar on a terminal, as lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from gridhaul.cli import text
from gridhaul.cli.bars import Bar, Speed

LINE_SECONDS = 5.0


class GetDisplay(Protocol):
    def begin(self, title: str, length_bytes: int) -> None:
        """Show which file is downloaded."""

    def show(self, done_bytes: int) -> None:
        """Show how much has arrived."""

    def note(self, line: str) -> None:
        """Show the reason to wait, until the next `show`."""


class Lines:
    """A display for logs: a line at the beginning, at the end, and every 5 s between if bytes have arrived."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._speed = Speed()
        self._length_bytes = 0
        self._last_time: float | None = None

    def begin(self, title: str, length_bytes: int) -> None:
        self._length_bytes = length_bytes
        self.note(title)

    def show(self, done_bytes: int) -> None:
        now = self._clock()
        rate = self._speed.after(done_bytes, now)
        if self._last_time is None or done_bytes == self._length_bytes or now - self._last_time >= LINE_SECONDS:
            self._last_time = now
            self.note(text.progress(done_bytes, self._length_bytes, rate))

    def note(self, line: str) -> None:
        typer.echo(text.safe(line), err=True)


class BarOfGet:
    """A display for terminals: a title, the bar, and below it what the download waits for, if anything."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._speed = Speed()
        self._length_bytes = 0
        self._shown: list[Text | Bar] = []
        self._note: list[Text] = []

    def __rich__(self) -> Group:
        return Group(*self._shown, *self._note)

    def begin(self, title: str, length_bytes: int) -> None:
        self._length_bytes = length_bytes
        self._shown = [_line(title)]

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
        self._note = [_line(line, style="yellow")]


@contextmanager
def get_display() -> Iterator[GetDisplay]:
    """Yield the display that fits stderr. A bar stays after a normal end, and vanishes after an exception."""
    console = Console(stderr=True)
    if not console.file.isatty() or console.is_dumb_terminal:
        yield Lines()
        return
    bar = BarOfGet()
    with Live(console=console, get_renderable=bar.__rich__, refresh_per_second=5, redirect_stdout=False) as live:
        try:
            yield bar
        except BaseException:
            live.transient = True
            raise


def _line(line: str, *, style: str = "") -> Text:
    return Text(text.safe(line), style=style, no_wrap=True, overflow="ellipsis")
