"""What is shown while it runs: a bar on a terminal, a line a measurement everywhere. All of it on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Display(Protocol):
    def case(self, name: str) -> None:
        """What follows belongs to this case."""

    def expect(self, steps: int) -> None:
        """So many measurements more are to come."""

    def begins(self, what: str) -> None:
        """One of them begins."""

    def ends(self, line: str) -> None:
        """One of them has ended, with this to say."""


class Lines:
    """For logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._case = ""

    def case(self, name: str) -> None:
        self._case = name

    def expect(self, steps: int) -> None:
        """Nothing: lines do not tell how many will follow."""

    def begins(self, what: str) -> None:
        """Nothing: the line comes when it has ended."""

    def ends(self, line: str) -> None:
        self._console.print(f"{self._case}: {line}", highlight=False, soft_wrap=True, markup=False)


class Bar(Lines):
    """For terminals: what is measured now and how much of the case is done, below the lines."""

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
    """The one that fits stderr."""
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
