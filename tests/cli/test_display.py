"""Lines of progress, and the texts for sizes, durations and names."""

from typing import cast

import pytest

from gridhaul.cli import text
from gridhaul.cli.display import Lines
from gridhaul.client import Transfer
from gridhaul.client.records import FileRecord
from tests.cli.scripted_api import MIB, file


def storing(stored_bytes: int) -> Transfer:
    record = file("STORING", stored_bytes=stored_bytes)
    return Transfer(file=cast(FileRecord, record), delivery=None, seen_at=None)


def test_lines_of_progress_keep_their_distance(capsys: pytest.CaptureFixture[str]) -> None:
    looks = [(100.0, 0), (104.9, MIB), (105.0, MIB), (109.0, 2 * MIB), (111.0, 2 * MIB), (120.0, 2 * MIB)]
    now = [0.0]
    lines = Lines(clock=lambda: now[0])
    for now[0], stored_bytes in looks:
        lines.show(storing(stored_bytes))
    assert capsys.readouterr().err.splitlines() == [
        "STORING 0 B of 4.0 MiB",
        "STORING 1.0 MiB of 4.0 MiB",
        "STORING 2.0 MiB of 4.0 MiB",
    ]


def test_source_that_is_read_once_more_is_shown_as_that(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.show(storing(4 * MIB))
    again = file("STORING", stored_bytes=4 * MIB, checked_bytes=MIB)
    lines.show(Transfer(file=cast(FileRecord, again), delivery=None, seen_at=None))
    assert capsys.readouterr().err.splitlines() == ["STORING 4.0 MiB of 4.0 MiB", "CHECKING 1.0 MiB of 4.0 MiB"]


def test_same_note_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.note("waiting: x")
    lines.note("waiting: x")
    assert capsys.readouterr().err == "waiting: x\n"


@pytest.mark.parametrize(
    ("length_bytes", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (300 << 20, "300.0 MiB"), (1 << 60, "1024.0 PiB")],
)
def test_size_in_words(length_bytes: int, words: str) -> None:
    assert text.size(length_bytes) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.9, "59 s"), (125, "2 min 05 s"), (12000, "3 h 20 min")]
)
def test_duration_in_words(seconds: float, words: str) -> None:
    assert text.duration(seconds) == words


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("résumé 数据.h5", "résumé 数据.h5"),
        ("\x1b[2J\x07\x7f\x9b", "\\x1b[2J\\x07\\x7f\\x9b"),
        ("a\u202eb\u2028c\ud800", "a\\u202eb\\u2028c\\ud800"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
    ],
)
def test_only_what_a_terminal_acts_on_is_escaped(name: str, shown: str) -> None:
    assert text.safe(name) == shown
