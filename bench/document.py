"""Writes the chart and the tables of `docs/performance.md`, between two marks in the page."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import machine, report
from bench.record import Entries

BEGIN = "<!-- begin: written by `make bench` -->"
END = "<!-- end: written by `make bench` -->"
PUBLISHED_RUNS = 5
CASES = ("case", "ours", "peer", "unit", "ratio", "goal", "spread", "of peer", "what and how often")
CHART = "![Ours and every peer, case by case](performance.svg)"
FIGURES = ("case", "further figures", "median", "goal")


def too_few_runs(entries: Entries) -> list[str]:
    """Return the names of the cases that have too few runs to be published."""
    return [name for name, entry in entries.items() if len(entry["runs"]["ours"]) < PUBLISHED_RUNS]


def write(path: Path, entries: Entries) -> None:
    """Replace the text between the two marks, which must both be in the file."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text(entries)}\n{END}{after}")


def text(entries: Entries) -> str:
    """Return the chart, the machine, the days, and both tables as Markdown."""
    cases = [CASES, *((*report.cells(name, entry), report.compared(entry)) for name, entry in entries.items())]
    figures = [FIGURES, *_figures(entries)]
    return "\n".join([CHART, "", *_measured_on(entries), "", *_table(cases), "", *_table(figures)])


def _measured_on(entries: Entries) -> Iterator[str]:
    for where in dict.fromkeys(machine.in_words(entry["machine"]) for entry in entries.values()):
        yield f"{where}."
    days = sorted(entry["measured_at"][:10] for entry in entries.values())
    yield f"Measured on {days[0]}." if days[0] == days[-1] else f"Measured from {days[0]} to {days[-1]}."


def _figures(entries: Entries) -> Iterator[tuple[str, ...]]:
    for name, entry in entries.items():
        for figure in entry["figures"]:
            value = f"{report.number(figure['value'])} {figure['unit']}".strip()
            yield name, figure["what"], value, report.aim(figure.get("goal"), figure.get("reached"))


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    heading, *lines = rows
    yield f"| {' | '.join(heading)} |"
    yield "|---" * len(heading) + "|"
    for line in lines:
        yield f"| {' | '.join(line)} |"
