"""The end of a batch: one summary on stdout; on stderr what failed and what was skipped; and the exit code."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import typer

from gridhaul.cli.batch_lines import plan_lines
from gridhaul.cli.batch_progress import count, failed_count
from gridhaul.cli.connection import say
from gridhaul.cli.exits import Exit, exit_of_failure, leave
from gridhaul.cli.text import duration, safe, size
from gridhaul.client import Client
from gridhaul.client.batch_records import BatchRecord, SkippedRecord
from gridhaul.client.records import DeliveryRecord, FailureRecord, FileRecord
from gridhaul.transfer.skipping import SkipReason

SHOWN_AT_MOST = 20
FAILED = ("FAILED",)
DONE, CANCELLED, PLANNED = "DONE", "CANCELLED", "PLANNED"
GOOD = frozenset({DONE, PLANNED})
RETRYABLE = frozenset({DONE, CANCELLED})
# An empty folder is only listed if somebody asked for that. What has vanished was delivered by an earlier batch.
ALWAYS_BY_RULE = frozenset({SkipReason.EMPTY_FOLDER.value, SkipReason.VANISHED.value})
NOTHING_THERE = frozenset({SkipReason.MISSING.value, SkipReason.NO_MATCH.value})


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A batch with the first members that failed and the first paths that were skipped."""

    batch: BatchRecord
    failed_files: list[FileRecord]
    failed_deliveries: list[DeliveryRecord]
    skipped: list[SkippedRecord]


def result_of(client: Client, batch: BatchRecord) -> Result:
    """Return the batch with the failures and skipped paths that the command prints. Raises ClientError."""
    batches, batch_id = client.batches, batch["batch_id"]
    failures, skips = _failures(batch), _skips(batch)
    return Result(
        batch=batch,
        failed_files=list(batches.files(batch_id, states=FAILED, limit=SHOWN_AT_MOST)) if failures else [],
        failed_deliveries=list(batches.deliveries(batch_id, states=FAILED, limit=SHOWN_AT_MOST)) if failures else [],
        skipped=list(batches.skipped(batch_id, limit=SHOWN_AT_MOST)) if skips else [],
    )


def print_json(result: Result) -> None:
    """Print one JSON object, escaped as ASCII, so that no text of the records can control the terminal."""
    failed = {"files": result.failed_files, "deliveries": result.failed_deliveries}
    typer.echo(json.dumps({"batch": result.batch, "failed": failed, "skipped": result.skipped}))


def print_summary(result: Result) -> None:
    """Print the last line of a batch that is DONE, or what a batch that is PLANNED would do; nothing for any other."""
    batch, summary = result.batch, result.batch["summary"]
    if batch["state"] == PLANNED:
        typer.echo("\n".join(safe(line) for line in plan_lines(batch)))
    if summary is None:
        return
    proof = f"{summary['files']} files {summary['bytes']} bytes sha256sums={summary['sha256sums']}"
    typer.echo(safe(f"{batch['state']} {batch['batch_id']} {proof}{_in_what_time(batch, summary['bytes'])}"))


def say_what_is_missing(result: Result) -> None:
    """Say which files failed and which paths were skipped: the first ones, and how to see all."""
    failures, skips = _failures(result.batch), _skips(result.batch)
    failed = sorted([*map(_failed_delivery, result.failed_deliveries), *map(_failed_file, result.failed_files)])
    skipped = [f"{one['reason']} {one['path']}: {one['detail']}" for one in result.skipped]
    total = _failed_total(result.batch)
    _say_some("failed", failures, failed[:SHOWN_AT_MOST], total=total)
    _say_some("skipped", skips, skipped, total=skips.total())
    if total > SHOWN_AT_MOST or skips.total() > SHOWN_AT_MOST:
        say(f"All of them: gridhaul batch {result.batch['batch_id']} --report FILE.jsonl")


def leave_unless_good(batch: BatchRecord, *, by_rule: frozenset[str] = frozenset()) -> None:
    """Exit unless the batch is DONE, nothing failed, and paths were skipped only for the reasons in `by_rule`."""
    code = exit_of(batch, by_rule=by_rule)
    if code is Exit.OK:
        return
    told, batch_id = "; ".join(_what_is_wrong(batch, by_rule)), batch["batch_id"]
    if not _has_failed(batch):
        leave(code, f"INCOMPLETE {batch_id} {told}.{_about_links(batch, by_rule)}")
    retry = f" Then: gridhaul retry {batch_id}" if batch["state"] in RETRYABLE else ""
    leave(code, f"FAILED {batch_id} {told}.{retry}")


def _about_links(batch: BatchRecord, by_rule: frozenset[str]) -> str:
    helps = " With --links skip, links are left out without an error; --links follow sends what they lead to."
    return helps if SkipReason.LINK.value in _without_rule(batch, by_rule) else ""


def exit_of(batch: BatchRecord, *, by_rule: frozenset[str]) -> Exit:
    """Return the exit code of a batch that is over."""
    error = [batch["error"]["code"]] if batch["error"] else []
    if Exit.INTEGRITY in map(exit_of_failure, (*_failures(batch), *error)):
        return Exit.INTEGRITY
    if _has_failed(batch):
        return Exit.FAILED
    skips = _without_rule(batch, by_rule)
    if not skips:
        return Exit.OK
    counts = batch["counts"]
    return Exit.NOT_FOUND if skips.keys() <= NOTHING_THERE and counts and not counts["files"] else Exit.FAILED


def _what_is_wrong(batch: BatchRecord, by_rule: frozenset[str]) -> list[str]:
    error, failures, skips = batch["error"], _failures(batch), _without_rule(batch, by_rule)
    cancelled = _cancelled(batch)
    return [
        *([] if batch["state"] in GOOD else [f"the batch is {batch['state']}"]),
        *([f"{error['code']}: {error['detail'].removesuffix('.')}"] if error else []),
        *([f"{_failed_total(batch):,} failed"] if failures else []),
        *([f"{cancelled:,} cancelled"] if cancelled and batch["state"] == DONE else []),
        *([f"{skips.total():,} skipped"] if skips else []),
    ]


def _has_failed(batch: BatchRecord) -> bool:
    return bool(batch["state"] not in GOOD or batch["error"] or _failures(batch) or _cancelled(batch))


def _cancelled(batch: BatchRecord) -> int:
    counts = batch["counts"]
    return count(counts["files"], CANCELLED) + count(counts["deliveries"], CANCELLED) if counts else 0


def _failures(batch: BatchRecord) -> Counter[str]:
    return Counter(batch["counts"]["failures"] if batch["counts"] else {})


def _failed_total(batch: BatchRecord) -> int:
    return failed_count(batch["counts"]) if batch["counts"] else 0


def _skips(batch: BatchRecord) -> Counter[str]:
    return Counter(batch["counts"]["skipped"] if batch["counts"] else {})


def _without_rule(batch: BatchRecord, by_rule: frozenset[str]) -> Counter[str]:
    ruled = by_rule | ALWAYS_BY_RULE
    return Counter({reason: number for reason, number in _skips(batch).items() if reason not in ruled})


def _say_some(what: str, counted: Mapping[str, int], lines: list[str], *, total: int) -> None:
    """Say how many there are, by code, and the first lines. Of very many, only some have their code counted."""
    if not counted:
        return
    by_code = ", ".join(f"{number:,} {code}" for code, number in sorted(counted.items()))
    if sum(counted.values()) < total:
        by_code = f"among them {by_code}"
    first = f"; the first {len(lines)}" if total > len(lines) else ""
    say(f"{total:,} {what} ({by_code}){first}:")
    for line in lines:
        say(f"  {line}")


def _failed_file(file: FileRecord) -> str:
    return _failed(file["error"], file["name"])


def _failed_delivery(delivery: DeliveryRecord) -> str:
    return _failed(delivery["error"], f"{delivery['object_name']} to {delivery['target']}")


def _failed(error: FailureRecord | None, what: str) -> str:
    return f"{error['code']} {what}: {error['detail']}" if error else what


def _in_what_time(batch: BatchRecord, length_bytes: int) -> str:
    if batch["ended_at"] is None:
        return ""
    ended, created = map(datetime.fromisoformat, (batch["ended_at"], batch["created_at"]))
    seconds = (ended - created).total_seconds()
    rate = f", {size(length_bytes / seconds)}/s" if seconds > 0 else ""
    return f" in {duration(seconds)}{rate}"
