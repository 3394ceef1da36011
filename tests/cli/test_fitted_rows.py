"""`gridhaul ls` on a terminal: every line fits, names are cut in the middle, ids never."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime

import pytest
from rich.cells import cell_len

from gridhaul.cli.fitted_rows import print_fitted
from gridhaul.cli.listing import FILE_HEADER
from gridhaul.cli.rows import Row, file_row
from gridhaul.cli.table import fitted, shortened
from tests.cli.scripted_api import FILE_ID, file

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
NAMES = ["a.h5", "x" * 255, "测" * 85, "🧪" * 60 + ".h5", "שלום" * 30, "tab\there", "e\u0301" * 100]


@pytest.mark.parametrize("columns", [80, 100, 120, 200])
def test_every_line_fits_and_holds_the_whole_id(columns: int) -> None:
    rows = [row(name=name, file_path=f"/srv/{name}") for name in NAMES]
    lines = fitted_lines(rows, columns)
    assert max(cell_len(line) for line in lines) <= columns
    assert sum(FILE_ID in line for line in lines) == len(NAMES)


def test_wide_terminal_has_a_line_for_each_file() -> None:
    lines = fitted_lines([row(file_path="/srv/" + "d" * 100 + "/tail.h5"), row(state="FAILED")], 120)
    source = f"/srv/{'d' * 17}…{'d' * 14}/tail.h5"
    assert lines == [
        f"NAME      SOURCE{' ' * 41}SIZE     STATE   TARGET   TIME         ID",
        f"run42.h5  {source}  4.0 MiB  STORED  archive  today 03:00  {FILE_ID}",
        f"run42.h5  /srv/run42.h5{' ' * 34}4.0 MiB  FAILED  archive  today 03:00  {FILE_ID}",
    ]


def test_narrow_terminal_has_the_id_and_the_source_below() -> None:
    assert fitted_lines([row()], 80)[2:] == [
        f"run42.h5{' ' * 33}  4.0 MiB  STORED  archive  today 03:00",
        f"  {FILE_ID}  /srv/run42.h5",
    ]


def test_note_stands_below_its_row() -> None:
    why = {"code": "source_missing", "detail": "The source is gone.\x1b"}
    lines = fitted_lines([row(state="FAILED", error=why), row()], 120)
    assert lines[2] == "  source_missing: the source is gone.\\x1b"
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("text", "width", "cut"),
    [
        ("very-long-name-tail.h5", 12, "very-l…il.h5"),
        ("short", 5, "short"),
        ("abcdef", 5, "ab…ef"),
        ("测测测测测", 7, "测…测测"),
        ("🧪🧪🧪🧪", 6, "🧪…🧪"),
    ],
)
def test_name_is_cut_in_its_middle(text: str, width: int, cut: str) -> None:
    assert shortened(text, width) == cut
    assert cell_len(fitted(text, width)) == width


def row(**changes: object) -> Row:
    state = changes.pop("state", "STORED")
    return file_row(file(str(state), **changes), now=NOW)  # type: ignore[arg-type]


def fitted_lines(rows: list[Row], columns: int) -> list[str]:
    return printed(lambda: print_fitted(FILE_HEADER, rows, columns=columns, now=NOW))


def printed(act: Callable[[], None]) -> list[str]:
    with redirect_stdout(io.StringIO()) as out:
        act()
    return [line.rstrip() for line in out.getvalue().splitlines()]
