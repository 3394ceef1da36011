"""Shows a running upload on stderr: as bars on a terminal, as lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Protocol

from rich.console import Console, Group

from gridhaul.cli import text
from gridhaul.cli.bars import Bar, Speed
from gridhaul.cli.display import LINE_SECONDS, Speaker
from gridhaul.cli.said_lines import SaidLines
from gridhaul.cli.terminal import FittedLine, drawn, say, stderr_terminal


class PutDisplay(Speaker, Protocol):
    """A display whose methods several threads may call."""

    def begin(self, title: str, length_bytes: int | None) -> None:
        """Show which files are sent. `length_bytes` is None if nobody knows how many bytes come."""

    def sent(self, more_bytes: int) -> None:
        """Show that further bytes are stored."""

    def follow(self, word: str, done_bytes: int, length_bytes: int) -> None:
        """Show what the server does with the files once all bytes are sent."""

    def note(self, line: str) -> None:
        """Show the reason to wait, until there is progress."""


class PutLines(SaidLines):
    """A display for logs: a line at the beginning and at the end of each stage, and every 5 s if bytes have moved."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._lock = Lock()
        self._speed = Speed()
        self._sent_bytes = 0
        self._length_bytes: int | None = None
        self._word = ""

    def begin(self, title: str, length_bytes: int | None) -> None:
        self._length_bytes = length_bytes
        self.say(title)

    def sent(self, more_bytes: int) -> None:
        with self._lock:
            self._sent_bytes += more_bytes
            rate = self._speed.after(self._sent_bytes, self._clock())
            self._progress("sent", self._sent_bytes, self._length_bytes, rate)

    def follow(self, word: str, done_bytes: int, length_bytes: int) -> None:
        if word != self._word:
            self._word, self._speed = word, Speed()
            self._begin_stage()
        self._progress(word, done_bytes, length_bytes, self._speed.after(done_bytes, self._clock()))

    def _progress(self, word: str, done_bytes: int, length_bytes: int | None, rate: float | None) -> None:
        line = f"{word} {text.progress(done_bytes, length_bytes, rate)}"
        if self._is_due(LINE_SECONDS) or done_bytes == length_bytes:
            self.note(line)


class PutBars:
    """A display for terminals: a title, a bar for each stage, and below them what the upload waits for, if anything."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._lock = Lock()
        self._speeds: dict[str, Speed] = {}
        self._bars: dict[str, Bar] = {}
        self._sent_bytes = 0
        self._length_bytes: int | None = None
        self._title: list[FittedLine] = []
        self._note: list[FittedLine] = []

    def __rich__(self) -> Group:
        with self._lock:
            return Group(*self._title, *self._bars.values(), *self._note)

    def begin(self, title: str, length_bytes: int | None) -> None:
        self._title, self._length_bytes = [FittedLine(line=title)], length_bytes
        self._show("sending", 0, length_bytes)

    def sent(self, more_bytes: int) -> None:
        with self._lock:
            self._sent_bytes += more_bytes
            self._show("sending", self._sent_bytes, self._length_bytes)

    def follow(self, word: str, done_bytes: int, length_bytes: int) -> None:
        with self._lock:
            self._show(word, done_bytes, length_bytes)

    def note(self, line: str) -> None:
        self._note = [FittedLine(line=line, style="yellow")]

    def say(self, line: str) -> None:
        say(self._console, line)

    def _show(self, word: str, done_bytes: int, length_bytes: int | None) -> None:
        rate = self._speeds.setdefault(word, Speed()).after(done_bytes, self._clock())
        over = done_bytes == length_bytes
        self._bars[word] = Bar(word=word, done_bytes=done_bytes, length_bytes=length_bytes, rate=rate, over=over)
        self._note = []


@contextmanager
def put_display() -> Iterator[PutDisplay]:
    """Yield the display that fits stderr. The bars stay after a normal end, and vanish after an exception."""
    console = stderr_terminal()
    if console is None:
        yield PutLines()
        return
    with drawn(PutBars(console), console) as bars:
        yield bars
