"""Drawing on the terminal that stderr is, and lines that fit it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.text import Text

from gridhaul.cli import text

MARGIN_COLUMNS = len("^C^C")  # a terminal echoes Ctrl-C behind the last line, which must not wrap
FRAMES_A_SECOND = 5


class Drawing(Protocol):
    """A display whose present lines the terminal shows."""

    def __rich__(self) -> Group: ...


D = TypeVar("D", bound=Drawing)


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedLine:
    """A line that is cut at the terminal's width. Its ending stays when the line is cut."""

    line: str
    ending: str = ""
    style: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = Text(text.safe(self.line), style=self.style)
        shown.truncate(max(options.max_width - MARGIN_COLUMNS - len(self.ending), 1), overflow="ellipsis")
        yield shown.append(self.ending)


def stderr_terminal() -> Console | None:
    """Return stderr if it is a terminal on which lines can be drawn again; None if it is none."""
    console = Console(stderr=True)
    return console if console.file.isatty() and not console.is_dumb_terminal else None


@contextmanager
def drawn(drawing: D, console: Console, *, transient: bool = False, redirect_stdout: bool = True) -> Iterator[D]:
    """Draw the display again and again. A transient one vanishes at the end, any other only after an exception.

    Without `redirect_stdout`, bytes that the command writes to stdout meanwhile stay as they are.
    """
    live = Live(
        console=console,
        get_renderable=drawing.__rich__,
        refresh_per_second=FRAMES_A_SECOND,
        transient=transient,
        redirect_stdout=redirect_stdout,
    )
    with live:
        try:
            yield drawing
        except BaseException:
            live.transient = True
            raise


def say(console: Console, line: str) -> None:
    """Print a line above the display, which stays after the display has ended."""
    console.print(Text(text.safe(line)), soft_wrap=True)
