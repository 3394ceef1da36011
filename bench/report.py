"""The table on the screen."""

from rich.console import Console
from rich.table import Table

from bench import machine
from bench.record import Entries, Entry
from bench.result import spread

LOG_COLUMNS = 160


def show(console: Console, entries: Entries) -> None:
    """The table, the further figures, and where they were measured."""
    console.print(table(entries))
    for name, entry in entries.items():
        for figure in entry["figures"]:
            goal = f", goal {figure['goal']}: {verdict(figure['reached'])}" if "goal" in figure else ""
            line = f"{name}: {figure['what']}: {number(figure['value'])} {figure['unit']}{goal}"
            console.print(line, highlight=False, soft_wrap=True, markup=False)
    for where in dict.fromkeys(machine.in_words(entry["machine"]) for entry in entries.values()):
        console.print(where, highlight=False, soft_wrap=True, markup=False)


def console() -> Console:
    """Of the terminal's width; wide enough for a line a case elsewhere."""
    found = Console()
    return found if found.is_terminal else Console(width=LOG_COLUMNS)


def table(entries: Entries) -> Table:
    shown = Table(
        caption="medians; ratio: ours by the best peer; spread: from least to most, of the median, ours and the peer's"
    )
    for heading in ("case", "size", "runs"):
        shown.add_column(heading, no_wrap=True)
    for heading in ("ours", "peer"):
        shown.add_column(heading, no_wrap=True, justify="right")
    for heading in ("unit", "ours is", "peer is"):
        shown.add_column(heading)
    for heading in ("ratio", "goal", "reached", "spread"):
        shown.add_column(heading, no_wrap=True, justify="right")
    for name, entry in entries.items():
        shown.add_row(*cells(name, entry))
    return shown


def cells(name: str, entry: Entry) -> tuple[str, ...]:
    """A line of the table."""
    ours, peer = entry["runs"]["ours"], entry["runs"][entry["best_peer"]]
    return (
        name,
        entry["size"],
        str(len(ours)),
        number(entry["ours"]),
        number(entry["peer"]),
        entry["unit"],
        entry["ours_is"],
        entry["best_peer"],
        f"{entry['ratio']:.2f}",
        entry["goal"] or "",
        verdict(entry["reached"]),
        f"{spread(ours):.0%}, {spread(peer):.0%}",
    )


def number(value: float) -> str:
    """Three digits, more before the point if there are more."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def verdict(reached: bool | None) -> str:
    """Nothing where there is no goal."""
    return {True: "yes", False: "no", None: ""}[reached]
