"""Says in figures and words where a batch is, and what it waits for."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gridhaul.cli import phases
from gridhaul.cli.bars import Speed
from gridhaul.cli.text import clause, obstacle_code
from gridhaul.client import Client
from gridhaul.client.batch_records import BATCH_OVER, BatchRecord, CountsRecord, GroupRecord
from gridhaul.client.records import DeliveryRecord, FailureRecord, FileRecord, known_length

GIVEN_UP = frozenset({"FAILED", "CANCELLED", "DELETING", "DELETED"})
WORDS = {"RUNNING": "SENDING"}
LOOKED_AT = 10  # the most files and deliveries of each kind that a look fetches


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A file or a delivery of a batch that is worked on, or that waits."""

    name: str
    word: str
    done_bytes: int
    length_bytes: int
    waiting: FailureRecord | None


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLook:
    """A batch and some of its members at one moment."""

    batch: BatchRecord
    moving: list[Member]
    waiting: list[Member]  # only looked for if nothing moves


@dataclass(frozen=True, kw_only=True, slots=True)
class Total:
    """The bytes to store and to deliver of a whole batch. `rate` is in bytes a second."""

    done_bytes: int
    length_bytes: int
    rate: float | None


class Totals:
    """Adds up a batch from look to look. What is done never becomes less, although an attempt may begin again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._speed = Speed()
        self._most = 0

    def after(self, look: BatchLook) -> Total:
        done, length = _done_and_length(look)
        self._most = max(self._most, done)
        rate = self._speed.after(self._most, self._clock())
        moves = look.batch["state"] != "PAUSED"
        return Total(done_bytes=min(self._most, length), length_bytes=length, rate=rate if moves else None)


def look_at(client: Client, batch: BatchRecord) -> BatchLook:
    """Return the batch with the members that move, or else with some that wait. Raises ClientError."""
    if batch["state"] in BATCH_OVER or batch["state"] == "PAUSED":
        return BatchLook(batch=batch, moving=[], waiting=[])
    moving = _members(client, batch, of_files=("STORING",), of_deliveries=("STREAMING", "COMMITTING"))
    waiting = [] if moving else _members(client, batch, of_files=("REGISTERED",), of_deliveries=("QUEUED",))
    return BatchLook(batch=batch, moving=moving, waiting=waiting)


def word(batch: BatchRecord) -> str:
    return WORDS.get(batch["state"], batch["state"])


def counts_line(batch: BatchRecord) -> str:
    """Return how many files are stored, delivered, failed and skipped; "" if they were not counted yet."""
    counts = batch["counts"]
    if counts is None:
        return ""
    found, stored = count(counts["files"]), count(counts["files"], "STORED")
    failed, skipped = failed_count(counts), sum(counts["skipped"].values())
    told = [
        *([f"{found:,} files found so far", f"{stored:,} stored"] if _is_looking(batch) else []),
        *([] if _is_looking(batch) else [f"{stored:,} of {found:,} files stored"]),
        *_delivered(batch, found),
        *([f"{failed:,} failed"] if failed else []),
        *([f"{skipped:,} skipped"] if skipped else []),
        *(["not every file was registered"] if ended_early(batch) else []),
    ]
    return ", ".join(told)


def reason(look: BatchLook) -> str:
    """Return why the batch, or the first member that is known to wait, does not go on; "" if no reason is known."""
    batch = look.batch
    if batch["state"] == "PAUSED":
        return f"waiting: the batch is paused; to go on: gridhaul resume {batch['batch_id']}"
    if batch["state"] in BATCH_OVER:
        return ""
    why = _why(look)
    return f"waiting: {why['code']}: {clause(why['detail'])}" if why else _about_paused(look)


def reason_code(look: BatchLook) -> str:
    """Return the code of what the batch waits for, else its reason."""
    return obstacle_code(_why(look)) or reason(look)


def failed_count(counts: CountsRecord) -> int:
    """Return how many files and deliveries failed. The codes in `failures` may be only those of the first ones."""
    return count(counts["files"], "FAILED") + count(counts["deliveries"], "FAILED")


def ended_early(batch: BatchRecord) -> bool:
    """Return whether the batch is over although not every file was registered, as after a cancel or over the quota."""
    return batch["state"] in BATCH_OVER - {"PLANNED"} and not batch["registered"]


def count(groups: Mapping[str, GroupRecord], *states: str) -> int:
    """Return how many members are in one of the states; no states mean every state."""
    return sum(group["count"] for state, group in groups.items() if not states or state in states)


def _is_looking(batch: BatchRecord) -> bool:
    """Return whether files are still looked for, so that nobody knows yet how many there are."""
    return batch["state"] not in BATCH_OVER and not batch["registered"]


def _about_paused(look: BatchLook) -> str:
    """Return how to go on if the batch waits only for members that somebody paused by themselves, else ""."""
    batch, counts = look.batch, look.batch["counts"]
    if counts is None or look.moving or look.waiting or batch["state"] != "RUNNING":
        return ""
    paused = count(counts["files"], "PAUSED") + count(counts["deliveries"], "PAUSED")
    listed = f"gridhaul ls --batch {batch['batch_id']} --state PAUSED"
    return f"waiting: {paused:,} paused; to see them: {listed}; to go on: gridhaul resume ID" if paused else ""


def _delivered(batch: BatchRecord, found: int) -> list[str]:
    counts, targets = batch["counts"], len(batch["deliver_to"])
    if counts is None or not targets:
        return []
    delivered = f"{count(counts['deliveries'], 'DELIVERED'):,}"
    if targets == 1 or _is_looking(batch):
        return [f"{delivered} delivered"]
    return [f"{delivered} of {found * targets:,} deliveries made"]


def _done_and_length(look: BatchLook) -> tuple[int, int]:
    counts = look.batch["counts"]
    if counts is None:
        return 0, 0
    files, deliveries = counts["files"], counts["deliveries"]
    given_up = sum(group["bytes"] for state, group in deliveries.items() if state in GIVEN_UP)
    each = sum(group["bytes"] for state, group in files.items() if state not in GIVEN_UP)
    done = _bytes(files, "STORED") + _bytes(deliveries, "DELIVERED") + sum(one.done_bytes for one in look.moving)
    return done, each * (1 + len(look.batch["deliver_to"])) - given_up


def _bytes(groups: Mapping[str, GroupRecord], state: str) -> int:
    return groups[state]["bytes"] if state in groups else 0


def _why(look: BatchLook) -> FailureRecord | None:
    whole = look.batch["waiting"] or look.batch["error"]
    return whole or next((one.waiting for one in look.waiting if one.waiting), None)


def _members(
    client: Client, batch: BatchRecord, *, of_files: tuple[str, ...], of_deliveries: tuple[str, ...]
) -> list[Member]:
    batches, batch_id = client.batches, batch["batch_id"]
    deliveries = batches.deliveries(batch_id, states=of_deliveries, limit=LOOKED_AT) if batch["deliver_to"] else ()
    files = batches.files(batch_id, states=of_files, limit=LOOKED_AT)
    return [*map(_of_delivery, deliveries), *map(_of_file, files)]


def _of_file(file: FileRecord) -> Member:
    return Member(
        name=file["name"],
        word=phases.storing(file),
        done_bytes=phases.stored_bytes(file),
        length_bytes=known_length(file),
        waiting=file["waiting"],
    )


def _of_delivery(delivery: DeliveryRecord) -> Member:
    return Member(
        name=f"{delivery['target']}: {delivery['object_name']}",
        word=phases.delivering(delivery),
        done_bytes=phases.sent_bytes(delivery),
        length_bytes=delivery["length"],
        waiting=delivery["waiting"],
    )
