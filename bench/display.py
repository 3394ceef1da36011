"""Shows the running benchmark on stderr: a line for each measurement, and a bar below the lines on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Display(Protocol):
    def case(self, name: str) -> None:
        """Show the following measurements as part of this case."""

    def expect(self, steps: int) -> None:
        """Add `steps` to the number of measurements to expect."""

    def begins(self, what: str) -> None:
        """Show that the measurement `what` begins."""

    def ends(self, line: str) -> None:
        """Show that the measurement has ended, with its result in `line`."""


class Lines:
    """A display for logs: a line for each measurement that has ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._case = ""

    def case(self, name: str) -> None:
        self._case = name

    def expect(self, steps: int) -> None:
        """Do nothing: the lines do not show how many measurements follow."""

    def begins(self, what: str) -> None:
        """Do nothing: the line is printed when the measurement has ended."""

    def ends(self, line: str) -> None:
        self._console.print(f"{self._case}: {line}", highlight=False, soft_wrap=True, markup=False)


class Bar(Lines):
    """A display for terminals: below the lines, a bar with the current measurement and the progress of the case."""

    def __init__(self, console: Console, progress: Progress) -> None:
        super().__init__(console)
        self._progress = progress
        self._task = progress.add_task("starting", total=None)

    def case(self, name: str) -> None:
        super().case(name)
        self._progress.reset(self._task, description=name, total=0)

    def expect(self, steps: int) -> None:
        total = self._progress.tasks[self._task].total or 0
        self._progress.update(self._task, total=total + steps)

    def begins(self, what: str) -> None:
        self._progress.update(self._task, description=f"{self._case}: {what}")

    def ends(self, line: str) -> None:
        super().ends(line)
        self._progress.advance(self._task)


@contextmanager
def display() -> Iterator[Display]:
    """Yield the display that fits stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        yield Bar(console, progress)
