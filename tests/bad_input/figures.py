"""The count of the table's rows that a run tried, and of those that were answered as the table says."""

import pytest

from tests.bad_input.table import Row
from tests.bad_input.waiting import WAITING


def note(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add the rows that the test tries to its report."""
    report.user_properties += [("row", mark.args[0].name) for mark in item.iter_markers("row")]


def show(reporter: pytest.TerminalReporter) -> None:
    """Print one line at the end of the run, if a test tried a row."""
    passed, wrong = _rows(reporter, "passed"), _rows(reporter, "failed") | _rows(reporter, "error")
    if tried := passed | wrong:
        reporter.write_line(
            f"bad input: {len(Row)} rows in the table, {len(tried)} tried, {len(tried - wrong)} answered as "
            f"written; parts that wait for an endpoint: {len(WAITING)}"
        )


def _rows(reporter: pytest.TerminalReporter, outcome: str) -> set[str]:
    reports = [one for one in reporter.stats.get(outcome, ()) if isinstance(one, pytest.TestReport)]
    return {str(value) for report in reports for name, value in report.user_properties if name == "row"}
