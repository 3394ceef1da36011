"""The end of `gridhaul put`: what was stored and delivered on stdout, what was not on stderr, and the exit code."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from gridhaul.cli.connection import say
from gridhaul.cli.exits import Exit, leave
from gridhaul.cli.put_files import Outcome
from gridhaul.cli.put_paths import LocalSkip
from gridhaul.cli.text import counted, duration, safe, size
from gridhaul.client.records import DeliveryRecord, FileRecord, known_length
from gridhaul.transfer.digest import content_sha256
from gridhaul.transfer.manifests import write_sha256sums
from gridhaul.transfer.skipping import SkipReason

SHOWN_AT_MOST = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class PutResult:
    """The fate of all files of one command, which took `seconds`."""

    outcomes: Sequence[Outcome]
    skipped: Sequence[LocalSkip]
    is_single: bool  # the command names one file, and no directory
    seconds: float

    @property
    def good(self) -> list[tuple[FileRecord, list[DeliveryRecord]]]:
        return [(one.file, one.deliveries) for one in self.outcomes if one.file and not one.error]

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.error]

    def sha256sums(self) -> str:
        """Return the text that `sha256sum -c` checks, of the files that are stored, in the byte order of names."""
        stored = [(one.sent.sha256, one.name) for one in self.outcomes if one.sent and _is_stored(one)]
        return "".join(
            write_sha256sums(name, sha256) for sha256, name in sorted(stored, key=lambda one: one[1].encode())
        )


def write_sums(result: PutResult, path: Path) -> None:
    path.write_text(result.sha256sums(), encoding="utf-8")


def print_json(result: PutResult) -> None:
    """Print one JSON object, escaped as ASCII, so that no text of the records can control the terminal."""
    files = [
        {"path": one.path, "file": one.file, "deliveries": one.deliveries, "error": one.error}
        for one in result.outcomes
    ]
    skipped = [{"path": one.path, "reason": one.reason, "detail": one.detail} for one in result.skipped]
    typer.echo(json.dumps({"files": files, "skipped": skipped}))


def print_text(result: PutResult) -> None:
    """Print the proof of a single file, and one summary of several; nothing if nothing was stored."""
    good = result.good
    if result.is_single:
        for file, deliveries in good:
            print_proof(file, deliveries)
    elif good:
        length = sum(known_length(file) for file, _ in good)
        word = "DELIVERED" if all(deliveries for _, deliveries in good) else "STORED"
        proof = f"{counted(len(good), 'file')} {length} bytes sha256sums={content_sha256(result.sha256sums().encode())}"
        typer.echo(f"{word} {proof} in {duration(result.seconds)}, {size(length / max(result.seconds, 0.001))}/s")


def print_proof(file: FileRecord, deliveries: Sequence[DeliveryRecord]) -> None:
    """Print the file with its digest, or a line for each delivery of it."""
    proof = f"{file['file_id']} {file['length']} sha-256={file['digests']['sha-256']}"
    receipts = [delivery["receipt"] for delivery in deliveries if delivery["receipt"]]
    for receipt in receipts:
        typer.echo(safe(f"DELIVERED {proof} {receipt['location']}"))
    if not receipts:
        typer.echo(safe(f"STORED {proof} {file['name']}"))


def leave_unless_good(result: PutResult) -> None:
    """Say what failed and what was skipped, and exit unless there is neither."""
    failed, skipped = result.failed, result.skipped
    for one in skipped[:SHOWN_AT_MOST]:
        say(f"skipped {one.reason} {one.path}: {one.detail}")
    if not failed and not skipped:
        return
    if result.is_single and failed:
        error = failed[0].error or {"code": "", "detail": ""}
        leave(failed[0].exit, f"ERROR {error['code']}: {error['detail']}")
    for outcome in failed[:SHOWN_AT_MOST]:
        if outcome.error:
            say(f"failed {outcome.error['code']} {outcome.path}: {outcome.error['detail']}")
    told = [*([f"{len(failed)} failed"] if failed else []), *([f"{len(skipped)} skipped"] if skipped else [])]
    again = " The same command goes on with what is not stored." if any(not _is_stored(one) for one in failed) else ""
    leave(_exit(result), f"{'FAILED' if failed else 'INCOMPLETE'} {'; '.join(told)}.{again}")


def _exit(result: PutResult) -> Exit:
    codes = {outcome.exit for outcome in result.failed}
    if Exit.INTEGRITY in codes:
        return Exit.INTEGRITY
    if not result.outcomes and {one.reason for one in result.skipped} == {SkipReason.MISSING}:
        return Exit.NOT_FOUND
    return codes.pop() if len(codes) == 1 else Exit.FAILED


def _is_stored(outcome: Outcome) -> bool:
    return outcome.file is not None and outcome.file["state"] == "STORED"
