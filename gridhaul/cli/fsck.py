"""`gridhaul fsck`, `gc` and `check`: start or find a check, follow the check, and print its findings and repairs."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from gridhaul.cli.exits import Exit, exit_of_failure, leave
from gridhaul.cli.send import Interrupted
from gridhaul.cli.text import clause, obstacle_code, progress, safe, size
from gridhaul.client import Client, ClientError
from gridhaul.client.records import CHECK_OVER, CheckOrder, CheckRecord, FindingRecord
from gridhaul.transfer.checks import CheckKind, Mode
from gridhaul.transfer.findings import FindingCode, Outcome

CHUNK_CODES = frozenset({"chunk_corrupt", "chunk_missing", "chunk_misplaced", "chunk_doubled"})


def start(client: Client, order: CheckOrder) -> CheckRecord:
    """Start the check, unless an equal check is open; print and return its record. Raises ClientError."""
    check = client.start_check(order)
    typer.echo(safe(f"check {check['check_id']}"), err=True)
    return check


def follow(client: Client, check: CheckRecord, *, poll_seconds: float) -> CheckRecord:
    """Show the check until it is over, and return its last record. Raises ClientError, Interrupted."""
    with _saying_how_to_look_again(check["check_id"]), _shown() as show:
        latest = check
        show(latest)
        for latest in client.follow_check(check["check_id"], poll_seconds=poll_seconds):
            show(latest)
    return latest


def print_started(check: CheckRecord) -> None:
    typer.echo(f"{check['state']} {check['check_id']}")


def print_json(check: CheckRecord) -> None:
    """Print `{"check": …}`, escaped as ASCII, so that no text of the check can control the terminal."""
    typer.echo(json.dumps({"check": check}))


def print_text(check: CheckRecord) -> None:
    """Print the findings, one a line, then the meaning of each code and advice, and the summary last."""
    for finding in check["findings"]:
        typer.echo(safe(finding_line(finding)))
    if check["found"] > len(check["findings"]):
        typer.echo(f"… and {check['found'] - len(check['findings'])} more findings")
    for line in _advice(check):
        typer.echo(safe(line))
    typer.echo(safe(summary(check)))


def print_table(checks: Sequence[CheckRecord]) -> None:
    """Print a line for each check."""
    for check in checks:
        found = f"{check['found']} found, {check['repaired']} repaired"
        kind = check["kind"] if check["mode"] == Mode.REPORT else f"{check['kind']} ({check['mode'].replace('_', ' ')})"
        typer.echo(safe(f"{check['check_id']}  {check['created_at']}  {check['state']:<9}  {kind:<15}  {found}"))


def print_json_lines(checks: Sequence[CheckRecord]) -> None:
    """Print one `{"check": …}` a line."""
    for check in checks:
        print_json(check)


def leave_unless_clean(check: CheckRecord) -> None:
    """Exit with 3 if a finding is not repaired, with 1 if the check was cancelled, or with the code of its failure."""
    if check["error"] and check["state"] == "FAILED":
        leave(exit_of_failure(check["error"]["code"]), f"FAILED {check['error']['code']}: {check['error']['detail']}")
    if check["state"] == "CANCELLED":
        leave(Exit.FAILED, "The check was cancelled before its end.")
    # Bytes that a dry run of gc would remove are no fault.
    gc_dry_run = check["kind"] == CheckKind.GC and check["mode"] == Mode.DRY_RUN
    if check["found"] > check["repaired"] and not gc_dry_run:
        raise typer.Exit(Exit.INTEGRITY)


def finding_line(finding: FindingRecord) -> str:
    """Return a line such as `chunk_corrupt content 68e… chunk 21: detail [repaired]`."""
    chunk = None if finding["n"] is None else str(finding["n"])
    where = [("file", finding["file_id"]), ("content", finding["content_id"]), ("delivery", finding["delivery_id"])]
    where += [("chunk", chunk), ("target", finding["target"]), ("name", finding["name"])]
    named = " ".join(f"{kind} {value}" for kind, value in where if value is not None)
    outcome = finding["outcome"].replace("_", " ")
    done = "" if outcome == Outcome.FOUND else f" [{outcome}]"
    why = f" ({finding['why_not']})" if finding["why_not"] else ""
    return f"{finding['code']} {named}: {finding['detail']}{done}{why}"


def summary(check: CheckRecord) -> str:
    """Return the last line: the state, and how much was checked, found and repaired."""
    checked = f"{check['checked_contents']} contents, {size(check['checked_bytes'])} checked"
    if not check["found"]:
        return f"{check['state']} {checked}; nothing is wrong"
    moved = f", {size(check['source_bytes'])} read from sources, {size(check['sent_bytes'])} sent"
    repaired = f", {check['repaired']} repaired" + (moved if check["source_bytes"] else "")
    return f"{check['state']} {checked}; {check['found']} found{repaired}"


def _advice(check: CheckRecord) -> Iterator[str]:
    """Yield the meaning of each code that was found, and what to do next."""
    for code, count in sorted(check["counts"].items()):
        meaning = next((known.meaning for known in FindingCode if known == code), "")
        yield f"{count} × {code}: {meaning}"
    if check["repaired"] and CHUNK_CODES & set(check["counts"]):
        yield "Deliveries that failed because of repaired chunks begin again with: gridhaul retry DELIVERY"


@contextmanager
def _shown() -> Iterator["_Show"]:
    console = Console(stderr=True)
    if console.file.isatty() and not console.is_dumb_terminal:
        columns = (TextColumn("checking"), BarColumn(None), TextColumn("{task.fields[detail]}", markup=False))
        with Progress(*columns, console=console, refresh_per_second=5, expand=True, transient=True) as bar:
            yield _Show(bar)
    else:
        yield _Show(None)


class _Show:
    """Shows the running check. A terminal gets a bar; elsewhere a line follows each new stage or reason to wait."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, detail="") if bar else None
        self._topic: tuple[str | None, str | None] = (None, None)

    def __call__(self, check: CheckRecord) -> None:
        detail = _detail(check)
        if self._bar is not None and self._task is not None:
            whole = max(check["total_bytes"] or 0, check["checked_bytes"], 1)
            self._bar.update(self._task, total=whole, completed=check["checked_bytes"], detail=safe(detail))
        elif (topic := (check["stage"], obstacle_code(check["waiting"]))) != self._topic:
            typer.echo(safe(detail), err=True)
            self._topic = topic


def _detail(check: CheckRecord) -> str:
    stage = (check["stage"] or check["state"].lower()).replace("_", " ")
    done = progress(check["checked_bytes"], check["total_bytes"] or 0, check["rate"])
    waiting = check["waiting"]
    return f"{stage} {done}, {check['found']} found" + (f"; waiting: {clause(waiting['detail'])}" if waiting else "")


@contextmanager
def _saying_how_to_look_again(check_id: str) -> Iterator[None]:
    advice = f"The check continues on the server; look with: gridhaul check {check_id}; "
    advice += f"cancel with: gridhaul check {check_id} --cancel"
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(advice) from None
    except ClientError:
        typer.echo(advice, err=True)
        raise


def over(check: CheckRecord) -> bool:
    return check["state"] in CHECK_OVER
