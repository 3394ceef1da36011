"""Prints rows of `gridhaul ls` in the columns of a terminal."""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime

import typer

from gridhaul.cli.rows import Row
from gridhaul.cli.table import GAP, fitted, padded, shortened, widest
from gridhaul.cli.text import safe
from gridhaul.cli.times import short_time

NAME_LEAST = 14  # columns; where a line has less room for name and source, each record takes two lines
TARGET_MOST = 16


def print_fitted(header: Row, rows: Sequence[Row], *, columns: int, now: datetime) -> None:
    """Print the rows within `columns`, names cut in their middle, and notes below their rows. Ids are never cut.

    Below about 60 columns, what is never cut makes the lines longer.
    """
    shown = [header, *(_shown(row, now) for row in rows)]
    lines = _one_line_each(shown, columns) or _two_lines_each(shown, columns)
    typer.echo(lines[0])
    for line, row in zip(lines[1:], shown[1:], strict=True):
        typer.echo(line)
        if row.note:
            typer.echo(textwrap.fill(row.note, columns, initial_indent=GAP, subsequent_indent=GAP))


def _shown(row: Row, now: datetime) -> Row:
    cells = Row(**{name: safe(cell) for name, cell in asdict(row).items()})
    return replace(cells, target=shortened(cells.target, TARGET_MOST), time=short_time(row.time, now=now))


def _one_line_each(rows: Sequence[Row], columns: int) -> list[str]:
    """Return a line for each row, or [] if the columns do not suffice."""
    rest = _aligned([(row.size, row.state, row.target, row.time, row.id) for row in rows])
    room = columns - widest(rest) - 2 * len(GAP)
    if room < 2 * NAME_LEAST:
        return []
    name, source = widest(row.name for row in rows), widest(row.source for row in rows)
    name = min(name, max(room // 2, room - source))
    source = min(source, room - name)
    return [
        GAP.join((fitted(row.name, name), fitted(row.source, source), cells))
        for row, cells in zip(rows, rest, strict=True)
    ]


def _two_lines_each(rows: Sequence[Row], columns: int) -> list[str]:
    rest = _aligned([(row.size, row.state, row.target, row.time) for row in rows])
    ids = _aligned([(row.id,) for row in rows])
    name = max(NAME_LEAST, columns - widest(rest) - len(GAP))
    source = max(NAME_LEAST, columns - widest(ids) - 2 * len(GAP))
    return [
        f"{fitted(row.name, name)}{GAP}{cells}\n{GAP}{record_id}{GAP}{shortened(row.source, source)}"
        for row, cells, record_id in zip(rows, rest, ids, strict=True)
    ]


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the cells of each row in columns."""
    widths = [widest(column) for column in zip(*rows, strict=True)]
    return [GAP.join(padded(cell, width) for cell, width in zip(row, widths, strict=True)) for row in rows]
