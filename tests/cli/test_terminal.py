"""The parts that all displays share: lines that fit the terminal, and how a display is drawn, stays or vanishes."""

from pathlib import Path

import pyte
import pytest
from rich.cells import cell_len
from rich.console import Console, Group

import gridhaul.cli
from gridhaul.cli.get_display import BarOfGet
from gridhaul.cli.put_display import PutBars
from gridhaul.cli.terminal import MARGIN_COLUMNS, FittedLine, drawn, say

COLUMNS = 40


class Screen:
    """A console whose output a terminal of 40 columns shows."""

    def __init__(self) -> None:
        self.console = Console(file=self, width=COLUMNS, force_terminal=True, _environ={"TERM": "xterm"})  # type: ignore[arg-type]
        self._screen = pyte.Screen(COLUMNS, 10)
        self._stream = pyte.Stream(self._screen)

    def write(self, drawn: str) -> None:
        self._stream.feed(drawn.replace("\n", "\r\n"))  # as the driver of a terminal does

    def flush(self) -> None:
        """Nothing is held back."""

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display if line.strip()]


class Title:
    def __rich__(self) -> Group:
        return Group(FittedLine(line="a title"))


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_normal_end_leaves_the_display(screen: Screen) -> None:
    with drawn(Title(), screen.console):
        pass
    assert screen.lines == ["a title"]


def test_transient_display_vanishes(screen: Screen) -> None:
    with drawn(Title(), screen.console, transient=True):
        pass
    assert screen.lines == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_exception_removes_the_display_and_is_raised(screen: Screen, error: type[BaseException]) -> None:
    with pytest.raises(error), drawn(Title(), screen.console):
        raise error
    assert screen.lines == []


def test_said_line_stays_above_the_display_and_controls_nothing(screen: Screen) -> None:
    with drawn(Title(), screen.console, transient=True):
        say(screen.console, "[bold]going on\x1b[2J")
    assert screen.lines == ["[bold]going on\\x1b[2J"]


@pytest.mark.parametrize(
    ("line", "ending", "shown"),
    [
        ("short", "", "short"),
        ("short", "; soon", "short; soon"),
        ("x" * 36, "", "x" * 36),
        ("x" * 37, "", "x" * 35 + "…"),
        ("x" * 37, "; soon", "x" * 29 + "…; soon"),
        ("ü\n" * 20, "", None),
    ],
)
def test_line_leaves_a_margin_and_keeps_its_ending(screen: Screen, line: str, ending: str, shown: str | None) -> None:
    screen.console.print(FittedLine(line=line, ending=ending))
    (printed,) = screen.lines
    assert cell_len(printed) <= COLUMNS - MARGIN_COLUMNS
    assert shown is None or printed == shown


def test_long_titles_of_uploads_and_downloads_leave_the_margin(screen: Screen) -> None:
    downloading, uploading = BarOfGet(), PutBars(screen.console)
    downloading.begin("d" * 100, 5)
    downloading.note("n" * 100)
    uploading.begin("u" * 100, 5)
    uploading.note("n" * 100)
    screen.console.print(downloading, uploading)
    assert len(screen.lines) == 5
    assert all(cell_len(line) <= COLUMNS - MARGIN_COLUMNS for line in screen.lines)


def test_displays_are_drawn_in_one_place() -> None:
    sources = Path(next(iter(gridhaul.cli.__path__))).glob("*.py")
    assert [path.name for path in sources if "rich.live" in path.read_text()] == ["terminal.py"]
