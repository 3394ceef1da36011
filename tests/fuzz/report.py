"""The report at the end of `make fuzz`."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.fuzz.parsers import Tried
from tests.fuzz.run import Outcome

LOG_COLUMNS = 140


def show(outcomes: Sequence[Outcome], tried: Tried, *, seed: int) -> None:
    """Print the findings first, then the tables of figures and the seed."""
    console = Console()
    console = console if console.is_terminal else Console(width=LOG_COLUMNS)
    for text in [outcome.text for outcome in outcomes if outcome.failed] + [tried.text] * tried.failed:
        console.print(text, highlight=False, markup=False)
    console.print(_requests(outcomes))
    console.print(_executions(tried))
    console.print(f"seed {seed}", highlight=False)


def _requests(outcomes: Sequence[Outcome]) -> Table:
    table = Table("caller", "requests", "findings", "answers", show_footer=True)
    every: Counter[int] = Counter()
    for outcome in outcomes:
        every += outcome.statuses
        findings = outcome.findings + len(outcome.admitted)
        table.add_row(outcome.caller.name, _number(outcome.statuses.total()), str(findings), _listed(outcome.statuses))
    footers = ("all", _number(every.total()), "", _listed(every))
    for column, footer in zip(table.columns, footers, strict=True):
        column.footer = footer
    return table


def _executions(tried: Tried) -> Table:
    table = Table("parser", "executions", "result")
    for name, count in tried.executions.items():
        table.add_row(name.removeprefix("test_"), _number(count), "see above" if tried.failed else "ok")
    return table


def _listed(statuses: Counter[int]) -> str:
    return "  ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))


def _number(count: int) -> str:
    return f"{count:,}"
