"""How many rows of the table were tried in this run, and how many of them were answered as written."""

import pytest

from tests.bad_input.table import Row
from tests.bad_input.waiting import WAITING, WHOLLY_WAITING


def note(item: pytest.Item, report: pytest.TestReport) -> None:
    """Write into the report which rows the test tries."""
    report.user_properties += [("row", mark.args[0].name) for mark in item.iter_markers("row")]


def show(reporter: pytest.TerminalReporter) -> None:
    """One line at the end of the run, if any row was tried."""
    passed, wrong = _rows(reporter, "passed"), _rows(reporter, "failed") | _rows(reporter, "error")
    if tried := passed | wrong:
        parts = len({waiting.row for waiting in WAITING} - WHOLLY_WAITING)
        reporter.write_line(
            f"bad input: {len(Row)} rows in the table, {len(tried)} tried, {len(tried - wrong)} right, "
            f"{len(WHOLLY_WAITING)} waiting, and a part of {parts} others"
        )


def _rows(reporter: pytest.TerminalReporter, outcome: str) -> set[str]:
    reports = [one for one in reporter.stats.get(outcome, ()) if isinstance(one, pytest.TestReport)]
    return {str(value) for report in reports for name, value in report.user_properties if name == "row"}
