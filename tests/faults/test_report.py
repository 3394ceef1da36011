"""The last line and the table of the report, and the choice of rows."""

from dataclasses import replace

import pytest

from tests.faults import report
from tests.faults.catalogue import Row, choose, load_rows
from tests.faults.report import last_line
from tests.faults.run import Result


def row(key: str, *, only_when_named: bool = False) -> Row:
    return Row(key=key, stage="store", title="t", act=lambda _: None, only_when_named=only_when_named)


def test_last_line_counts_rows_by_their_number() -> None:
    results = [
        Result(row=row("7"), runs=2, passed=2, recoveries=[1.0, 3.0]),
        Result(row=row("8"), runs=2, passed=2, recoveries=[2.04]),
        Result(row=row("8"), runs=2, passed=1, wrong=1, duplicates=2),
        Result(row=row("21"), not_allowed="no tmpfs"),
    ]
    expected = "faults: 1/2 passed, 6 runs, wrong bytes 1, duplicates 2, recovery p50 2.0 s max 3.0 s"
    assert last_line(results) == expected


def test_last_line_without_any_recovery() -> None:
    line = last_line([Result(row=row("4"), runs=1, passed=1)])
    assert line == "faults: 1/1 passed, 1 runs, wrong bytes 0, duplicates 0, recovery p50 0.0 s max 0.0 s"


def test_every_result_is_one_line_of_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    long = replace(row("default-lease"), stage="store, deliver", title="of the worker " * 20)
    results = [Result(row=long, runs=5, passed=5, recoveries=[1.0]), Result(row=row("7"), runs=5, passed=5)]
    console = report.console()
    with console.capture() as captured:
        console.print(report.table(results, columns=console.width))
    lines = captured.get().splitlines()
    (found,) = [line for line in lines if "of the worker" in line]
    assert all(part in found for part in ("default-lease", "store, deliver", "1.0 s, max 1.0 s", "…"))
    assert len([line for line in lines if line.startswith("│")]) == len(results)


def test_scenarios_run_only_when_they_are_named() -> None:
    rows = [row("7"), row("8"), row("storm", only_when_named=True)]
    assert [chosen.key for chosen in choose(rows, [])] == ["7", "8"]
    assert [chosen.key for chosen in choose(rows, ["storm", "8"])] == ["8", "storm"]


def test_unknown_row_is_named() -> None:
    with pytest.raises(ValueError, match="99"):
        choose([row("7")], ["99"])


def test_rows_are_found_in_the_order_of_the_table() -> None:
    keys = [row.key for row in load_rows()]
    numbers = [int(key) for key in keys if key.isdigit()]
    assert numbers == sorted(numbers)
    assert {*range(1, 11)} <= set(numbers)
    assert keys[: len(numbers)] == [str(number) for number in numbers]
