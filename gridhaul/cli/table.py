"""Prints tables for a terminal."""

from collections.abc import Sequence

import typer

from gridhaul.cli.text import safe


def print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print the header and the rows in columns as wide as their cells; print nothing if there are no rows."""
    if not rows:
        return
    table = [header, *(tuple(safe(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header) - 1)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*cells, row[-1]]))
