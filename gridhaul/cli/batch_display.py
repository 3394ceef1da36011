"""Shows a running batch on stderr: as one bar with the newest members beneath on a terminal, as lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.text import Text

from gridhaul.cli import text
from gridhaul.cli.bars import WORDS, Bar
from gridhaul.cli.batch_progress import BatchLook, Member, Totals, counts_line, reason, reason_code, word
from gridhaul.cli.display import Speaker
from gridhaul.cli.said_lines import SaidLines
from gridhaul.cli.table import fitted, shortened
from gridhaul.cli.terminal import MARGIN_COLUMNS, FittedLine, drawn, say, stderr_terminal
from gridhaul.client.batch_records import BATCH_OVER

LINE_SECONDS = 10.0
MEMBERS_SHOWN = 3
DETAIL_COLUMNS = len("reading back 100%")


class BatchDisplay(Speaker, Protocol):
    def title(self, line: str) -> None:
        """Show which batch this is."""

    def show(self, look: BatchLook) -> None:
        """Show where the batch is now."""

    def note(self, line: str) -> None:
        """Show the reason to wait, until the next `show`."""


class BatchLines(SaidLines):
    """A display for logs: a line when the state or the reason to wait changes, else every 10 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._totals = Totals(clock)
        self._topic = ("", "")

    def title(self, line: str) -> None:
        self.say(line)

    def show(self, look: BatchLook) -> None:
        total = self._totals.after(look)
        topic = (look.batch["state"], reason_code(look))
        if topic != self._topic or self._is_due(LINE_SECONDS):
            self._topic = topic
            counts = counts_line(look.batch)
            done = f" {text.progress(total.done_bytes, total.length_bytes, total.rate)}" if counts else ""
            self.say("; ".join(filter(None, (f"{word(look.batch)}{done}", counts, reason(look)))))


class BatchBar:
    """A display for terminals: a title, the total bar, the counts, some members, and what the batch waits for."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._totals = Totals(clock)
        self._title: list[FittedLine] = []
        self._total: list[Bar | FittedLine | _MemberLine] = []
        self._note: list[FittedLine] = []

    def __rich__(self) -> Group:
        return Group(*self._title, *self._total, *self._note)

    def title(self, line: str) -> None:
        self._title = [FittedLine(line=line)]

    def show(self, look: BatchLook) -> None:
        counts, why = counts_line(look.batch), reason(look)
        members = (look.moving or look.waiting)[:MEMBERS_SHOWN]
        self._total = [self._bar(look), *([FittedLine(line=counts)] if counts else []), *map(_MemberLine, members)]
        self._note = [FittedLine(line=why, style="yellow")] if why else []

    def say(self, line: str) -> None:
        say(self._console, line)

    def note(self, line: str) -> None:
        self._note = [FittedLine(line=line, style="yellow")]

    def _bar(self, look: BatchLook) -> Bar:
        total = self._totals.after(look)
        return Bar(
            word=word(look.batch).lower(),
            done_bytes=total.done_bytes,
            length_bytes=total.length_bytes,
            rate=total.rate,
            over=look.batch["state"] in BATCH_OVER and total.done_bytes == total.length_bytes,
        )


class _MemberLine:
    """A line with a member's name, cut in its middle, and what is done of the member."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = max(options.max_width - MARGIN_COLUMNS - len("  ") - DETAIL_COLUMNS - 1, 1)
        member = self._member
        shown = WORDS.get(member.word, member.word.lower())
        percent = f" {100 * member.done_bytes // max(member.length_bytes, 1):>3}%" if member.done_bytes else ""
        name = shortened(text.safe(member.name), room)
        yield Text(f"  {fitted(f'{shown}{percent}', DETAIL_COLUMNS)} {name}", style="bright_black")


@contextmanager
def batch_display() -> Iterator[BatchDisplay]:
    """Yield the display that fits stderr. The last bar stays after a normal end, and vanishes after an exception."""
    console = stderr_terminal()
    if console is None:
        yield BatchLines()
        return
    with drawn(BatchBar(console), console) as bar:
        yield bar
