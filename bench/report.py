"""Prints the results."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench import machine
from bench.record import Entries, Entry
from bench.result import spread

LOG_COLUMNS = 120
NUMBERS = ("ours", "peer", "ratio")
CAPTION = "values are medians; spread is highest minus lowest, divided by the median"


def show(console: Console, entries: Entries) -> None:
    """Print the table, the sizes and names that its lines compare, the further figures, and the machines."""
    console.print(table(entries))
    machines = dict.fromkeys(machine.in_words(entry["machine"]) for entry in entries.values())
    for line in [*(f"{name}: {compared(entry)}" for name, entry in entries.items()), *_figures(entries), *machines]:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def console() -> Console:
    """Return a console as wide as the terminal; elsewhere, wide enough for one line a case."""
    found = Console()
    return found if found.is_terminal else Console(width=LOG_COLUMNS)


def table(entries: Entries) -> Table:
    """Return the table, narrow enough for 80 columns."""
    shown = Table(caption=CAPTION, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("case", "ours", "peer", "unit", "ratio", "goal", "spread", "of peer"):
        shown.add_column(heading, no_wrap=True, justify="right" if heading in NUMBERS else "left")
    for name, entry in entries.items():
        shown.add_row(*cells(name, entry))
    return shown


def cells(name: str, entry: Entry) -> tuple[str, ...]:
    """Return a line of the table."""
    return (
        name,
        number(entry["ours"]),
        number(entry["peer"]),
        entry["unit"],
        f"{entry['ratio']:.2f}",
        aim(entry["goal"], entry["reached"]),
        f"{spread(entry['runs']['ours']):.0%}",
        f"{spread(entry['runs'][entry['best_peer']]):.0%}",
    )


def compared(entry: Entry) -> str:
    """Return the sizes, the number of runs, and the names that a line of the table compares."""
    runs = len(entry["runs"]["ours"])
    return f"{entry['size']}, {runs} run{'s' if runs > 1 else ''}, {entry['ours_is']} against {entry['best_peer']}"


def aim(goal: str | None, reached: bool | None) -> str:
    """Return the goal and whether it is reached; the empty text if there is no goal."""
    return f"{goal}: {'yes' if reached else 'no'}" if goal else ""


def _figures(entries: Entries) -> Iterator[str]:
    for name, entry in entries.items():
        for figure in entry["figures"]:
            goal = aim(figure.get("goal"), figure.get("reached"))
            line = f"{name}: {figure['what']}: {number(figure['value'])} {figure['unit']}".rstrip()
            yield f"{line}, goal {goal}" if goal else line


def number(value: float) -> str:
    """Return the value with three digits, or with all digits before the point if there are more."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
