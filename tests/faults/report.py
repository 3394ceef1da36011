"""The output: a progress bar while rows run, a table at the end, and a last line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.faults.catalogue import Row
from tests.faults.run import Result
from tests.faults.stand import NOT_WATCHED

LOG_COLUMNS = 120
COLUMNS = ("row", "stage", "fault", "runs", "passed", "recovery")


def console() -> Console:
    """Return a console as wide as the terminal; without a terminal, wide enough for one line per row."""
    found = Console()
    return found if found.is_terminal else Console(width=LOG_COLUMNS)


class Lines:
    """Output for logs: one line per run."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begins(self, row: Row, run: int) -> None:
        """Print nothing: `ends` prints the line of the run."""

    def ends(self, row: Row, run: int, *, outcome: str, seconds: float) -> None:
        line = f"{row.key:>13} {row.stage:<14} run {run}: {outcome} after {seconds:.1f} s ({row.title})"
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)

    def failed(self, row: Row, run: int, *, trace: str, logs: Path | None) -> None:
        self._console.print(trace, highlight=False, soft_wrap=True, markup=False)
        if logs is not None:
            self._console.print(f"logs of the processes: {logs}", highlight=False, soft_wrap=True, markup=False)


class Bar(Lines):
    """Output for terminals: a bar with the current row and the progress, below the lines of the finished runs."""

    def __init__(self, console: Console, progress: Progress, total: int) -> None:
        super().__init__(console)
        self._progress = progress
        self._task = progress.add_task("starting", total=total)

    def begins(self, row: Row, run: int) -> None:
        self._progress.update(self._task, description=f"{row.key} {row.title}")

    def ends(self, row: Row, run: int, *, outcome: str, seconds: float) -> None:
        super().ends(row, run, outcome=outcome, seconds=seconds)
        self._progress.advance(self._task)


@contextmanager
def display(console: Console, total: int) -> Iterator[Lines]:
    """Yield a bar on a terminal, plain lines elsewhere."""
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
        yield Bar(console, progress, total)


def show(console: Console, results: Sequence[Result]) -> None:
    """Print the table, the figures that rows have noted, and the last line."""
    console.print(table(results, columns=console.width))
    for result in results:
        if result.not_allowed is not None:
            reason = f"{result.row.key}: not allowed: {result.not_allowed}"
            console.print(reason, highlight=False, soft_wrap=True, markup=False)
        for note in result.notes:
            console.print(f"{result.row.key}: {note}", highlight=False, soft_wrap=True, markup=False)
    console.print(last_line(results), highlight=False, soft_wrap=True)


def table(results: Sequence[Result], *, columns: int) -> Table:
    """Return a table with one line per function. Only the texts of the column `fault` are shortened."""
    shown = Table(caption=f"not watched: {'; '.join(f'{name}, {why}' for name, why in NOT_WATCHED.items())}")
    lines = [_cells(result) for result in results]
    widths = {name: max(len(name), *(len(line[at]) for line in lines)) for at, name in enumerate(COLUMNS)}
    # The other columns take this width together with the frame of the table.
    taken = sum(widths.values()) - widths["fault"] + 3 * len(COLUMNS) + 1
    widths["fault"] = min(widths["fault"], max(len("fault"), columns - taken))
    for name, width in widths.items():
        shown.add_column(name, no_wrap=True, overflow="ellipsis", width=width)
    for line in lines:
        shown.add_row(*line)
    return shown


def _cells(result: Result) -> tuple[str, ...]:
    row = result.row
    passed = str(result.passed) if result.not_allowed is None else "not allowed"
    return row.key, row.stage, row.title, str(result.runs), passed, _recovery(result.recoveries)


def last_line(results: Sequence[Result]) -> str:
    """Return the last line. Rows are counted by their number; a row that the machine does not allow is not counted."""
    ran = {result.row.key for result in results if result.not_allowed is None}
    failed = {result.row.key for result in results if result.failed}
    recoveries = [seconds for result in results for seconds in result.recoveries]
    p50, most = (median(recoveries), max(recoveries)) if recoveries else (0.0, 0.0)
    return (
        f"faults: {len(ran - failed)}/{len(ran)} passed, {sum(result.runs for result in results)} runs, "
        f"wrong bytes {sum(result.wrong for result in results)}, "
        f"duplicates {sum(result.duplicates for result in results)}, "
        f"recovery p50 {p50:.1f} s max {most:.1f} s"
    )


def _recovery(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.1f} s, max {max(seconds):.1f} s" if seconds else ""
