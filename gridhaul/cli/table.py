"""Prints tables. Widths are those of a terminal, where some characters take two columns and some none."""

from collections.abc import Iterable, Sequence

import typer
from rich.cells import cell_len

from gridhaul.cli.text import safe

GAP = "  "
CUT = "…"


def print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print the header and the rows in columns as wide as their cells; print nothing if there are no rows."""
    if not rows:
        return
    table = [header, *(tuple(safe(cell) for cell in row) for row in rows)]
    widths = [widest(row[column] for row in table) for column in range(len(header) - 1)]
    for row in table:
        typer.echo(GAP.join([*(padded(cell, width) for cell, width in zip(row, widths, strict=False)), row[-1]]))


def print_tabs(rows: Iterable[tuple[str, ...]]) -> None:
    """Print the rows with tabs between their cells. No cell holds a tab, because `safe` escapes tabs."""
    for row in rows:
        typer.echo("\t".join(safe(cell) for cell in row))


def widest(cells: Iterable[str]) -> int:
    return max(cell_len(cell) for cell in cells)


def padded(cell: str, width: int) -> str:
    return cell + " " * (width - cell_len(cell))


def fitted(cell: str, width: int) -> str:
    """Return the cell in exactly `width` columns: shortened or padded."""
    return padded(shortened(cell, width), width)


def shortened(cell: str, width: int) -> str:
    """Return the cell in at most `width` columns: cut in its middle, because names often differ at their ends."""
    if cell_len(cell) <= width:
        return cell
    head = _start(cell, width // 2)
    tail = _start(cell[::-1], width - cell_len(head) - 1)[::-1]
    return f"{head}{CUT}{tail}"


def _start(text: str, width: int) -> str:
    """Return the longest beginning of the text that takes at most `width` columns."""
    taken = 0
    for n, character in enumerate(text):
        taken += cell_len(character)
        if taken > width:
            return text[:n]
    return text
