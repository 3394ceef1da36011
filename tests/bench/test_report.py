"""The report's table, the page in docs/ and the chart."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from bench import chart, document, report
from bench.catalogue import NAMES
from bench.result import Figure, Goal
from tests.bench.entries import entry, outcome

PAGE = f"# Performance\n\nbefore\n\n{document.BEGIN}\nold\n{document.END}\n\nafter\n"
FIGURE = Figure(what="p99", value=150.4, unit="ms", goal=Goal("≤", 100))
FIVE = entry(outcome([150.0] * 5, {"GridFS": [100.0] * 5}, figures=[FIGURE]), goal=Goal("≥", 1.2))


def shown(width: int) -> str:
    text = StringIO()
    report.show(Console(width=width, file=text), {"ingest": FIVE})
    return text.getvalue()


def test_line_of_the_table_has_ours_peer_ratio_goal_and_spread() -> None:
    found = entry(outcome([140.0, 150.0, 155.0], {"GridFS": [99.0, 100.0, 120.0]}), goal=Goal("≥", 1.2))
    cells = ("ingest", "150", "100", "MiB/s", "1.50", "≥ 1.2: yes", "10%", "21%")
    assert report.cells("ingest", found) == cells


def test_case_without_a_goal_shows_none() -> None:
    assert report.cells("workers", entry(outcome([1.0])))[5] == ""


def test_what_was_compared_is_one_line() -> None:
    assert report.compared(FIVE) == "1 GiB, 5 runs, Gridhaul against GridFS"


def test_table_fits_a_terminal_of_80_columns() -> None:
    names = dict.fromkeys(NAMES, FIVE)
    text = StringIO()
    Console(width=80, file=text).print(report.table(names))
    assert "…" not in text.getvalue()


def test_numbers_have_three_digits() -> None:
    assert [*map(report.number, (1234.5, 99.94, 1.234, 0.01234))] == ["1234", "99.9", "1.23", "0.0123"]


def test_figures_and_machine_stand_below_the_table() -> None:
    text = shown(150)
    assert "ingest: p99: 150 ms, goal ≤ 100: no" in text
    assert "A processor, 2 cores, 8 GiB of memory" in text
    assert text.count("A processor") == 1


def test_page_keeps_what_stands_around_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(PAGE)
    document.write(page, {"ingest": FIVE})
    text = page.read_text()
    assert text.startswith("# Performance\n\nbefore\n")
    assert text.endswith(f"{document.END}\n\nafter\n")
    assert "old" not in text


def test_page_written_twice_is_the_same(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(PAGE)
    document.write(page, {"ingest": FIVE})
    once = page.read_text()
    document.write(page, {"ingest": FIVE})
    assert page.read_text() == once


def test_page_has_a_line_a_case_and_a_line_a_figure() -> None:
    text = document.text({"ingest": FIVE})
    line = "| ingest | 150 | 100 | MiB/s | 1.50 | ≥ 1.2: yes | 0% | 0% | 1 GiB, 5 runs, Gridhaul against GridFS |"
    assert line in text
    assert "| ingest | p99 | 150 ms | ≤ 100: no |" in text


def test_too_few_runs_are_named() -> None:
    seldom = entry(outcome([1.0] * 4))
    assert document.too_few_runs({"ingest": FIVE, "egress": seldom}) == ["egress"]


def test_same_record_gives_the_same_chart(tmp_path: Path) -> None:
    entries = {"ingest": FIVE, "egress": FIVE, "workers": FIVE, "memory": FIVE}
    first, second = tmp_path / "first.svg", tmp_path / "second.svg"
    chart.draw(first, entries)
    chart.draw(second, entries)
    assert first.read_bytes() == second.read_bytes()
    assert "ingest, MiB/s: ratio 1.50, goal ≥ 1.2" in first.read_text()


def test_project_has_the_marks_on_its_page() -> None:
    text = (Path(__file__).parents[2] / "docs/performance.md").read_text()
    assert text.count(document.BEGIN) == text.count(document.END) == 1
