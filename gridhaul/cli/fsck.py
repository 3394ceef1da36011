"""`gridhaul fsck`, `gc` and `check`: start or find a check, follow the check, and print its findings and repairs."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer

from gridhaul.cli.check_display import check_display
from gridhaul.cli.exits import Exit, exit_of_failure, leave
from gridhaul.cli.send import interrupted_with
from gridhaul.cli.table import print_table
from gridhaul.cli.text import counted, safe, size
from gridhaul.cli.times import shown_time
from gridhaul.client import Client, ClientError
from gridhaul.client.records import CHECK_OVER, CheckOrder, CheckRecord, FindingRecord
from gridhaul.transfer.checks import CheckKind, Mode
from gridhaul.transfer.findings import FindingCode, Outcome, SkipReason

OBJECT_CODES = frozenset({FindingCode.OBJECT_MISSING, FindingCode.OBJECT_DIFFERS})
CHUNK_CODES = frozenset({"chunk_corrupt", "chunk_missing", "chunk_misplaced", "chunk_doubled"})


def start(client: Client, order: CheckOrder) -> CheckRecord:
    """Start the check, unless an equal check is open; return its record. Raises ClientError, Interrupted."""
    with interrupted_with("The check may run all the same; look with: gridhaul check"):
        return client.start_check(order)


def follow(client: Client, check: CheckRecord) -> CheckRecord:
    """Show the check until it is over, and return its last record. Raises ClientError, Interrupted."""
    with _saying_how_to_look_again(check["check_id"]), check_display() as display:
        display.title(f"check {check['check_id']}")
        latest = check
        display.show(latest)
        for latest in client.follow_check(check["check_id"]):
            display.show(latest)
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


def print_list(checks: Sequence[CheckRecord]) -> None:
    """Print a table of the checks."""
    print_table(("ID", "TIME", "STATE", "KIND", "FOUND"), [_row(check) for check in checks])


def _row(check: CheckRecord) -> tuple[str, ...]:
    found = str(check["found"]) + (f", {check['repaired']} repaired" if check["repaired"] else "")
    kind = f"{check['kind']}, {check['mode'].replace('_', ' ')}" if check["mode"] == Mode.DRY_RUN else check["kind"]
    return check["check_id"], shown_time(check["created_at"]), check["state"], kind, found


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
    where += [("upload", finding["upload_id"])]
    named = " ".join(f"{kind} {value}" for kind, value in where if value is not None)
    outcome = finding["outcome"].replace("_", " ")
    done = "" if outcome == Outcome.FOUND else f" [{outcome}]"
    why = f" ({finding['why_not']})" if finding["why_not"] else ""
    return f"{finding['code']} {named}: {finding['detail']}{done}{why}"


def summary(check: CheckRecord) -> str:
    """Return the last line: the state, and how much was checked, found and repaired."""
    checked = f"{counted(check['checked_contents'], 'content')}, {size(check['checked_bytes'])} checked"
    parts = [f"{check['state']} {checked}", _objects(check), _outcome(check)]
    return "; ".join(filter(None, parts))


def _outcome(check: CheckRecord) -> str:
    if not check["found"]:
        return "nothing to remove" if check["kind"] == CheckKind.GC else "nothing is wrong"
    moved = f", {size(check['source_bytes'])} read from sources, {size(check['sent_bytes'])} sent"
    repaired = f", {check['repaired']} repaired" + (moved if check["source_bytes"] else "")
    return f"{check['found']} found{repaired}"


def _objects(check: CheckRecord) -> str:
    """Return how many objects at targets were compared and how many were not; empty if there are none."""
    skipped, unread = check["skipped_objects"], check["unread_objects"]
    if not check["checked_objects"] and not skipped:
        return ""
    checked = f"{counted(check['checked_objects'], 'object')} at targets"
    by_length = f" ({unread} by length only; --read-targets reads them back)" if unread else ""
    reasons = [f"{number} {_phrase(reason)}" for reason, number in sorted(skipped.items())]
    left_out = f", {sum(skipped.values())} skipped: {', '.join(reasons)}" if skipped else ""
    return f"{checked}{by_length}{left_out}"


def _phrase(reason: str) -> str:
    return next((known.phrase for known in SkipReason if known == reason), reason)


def _advice(check: CheckRecord) -> Iterator[str]:
    """Yield the meaning of each code that was found, and what to do next."""
    for code, count in sorted(check["counts"].items()):
        meaning = next((known.meaning for known in FindingCode if known == code), "")
        yield f"{count} × {code}: {meaning}"
    found = set(check["counts"])
    if CHUNK_CODES & found and check["mode"] != Mode.REPAIR:
        yield "Chunks are fetched again from their sources with: gridhaul fsck --repair"
    if CHUNK_CODES & found and check["repaired"]:
        yield "Deliveries that failed because of these chunks (gridhaul ls --failed) begin again: gridhaul retry ID"
    if OBJECT_CODES & found:
        yield from _advice_on_objects(check, found)


def _advice_on_objects(check: CheckRecord, found: set[str]) -> Iterator[str]:
    if check["mode"] == Mode.DRY_RUN:
        yield "Run fsck without --dry-run first: retry takes only deliveries that it has marked."
    yield "If its file is still stored, a lost object is delivered again with: gridhaul retry DELIVERY"
    if FindingCode.OBJECT_DIFFERS in found:
        yield (
            "If that fails with object_exists, somebody's object has the name: "
            "gridhaul deliver FILE --to TARGET with --if-exists overwrite, or with another --name"
        )


@contextmanager
def _saying_how_to_look_again(check_id: str) -> Iterator[None]:
    advice = f"The check continues on the server; look with: gridhaul check {check_id}; "
    advice += f"cancel with: gridhaul check {check_id} --cancel"
    try:
        with interrupted_with(advice):
            yield
    except ClientError:
        typer.echo(advice, err=True)
        raise


def over(check: CheckRecord) -> bool:
    return check["state"] in CHECK_OVER
