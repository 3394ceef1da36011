"""The rows of `gridhaul ls`: the cells of a file or a delivery, and a note on what it does or why it does not go on."""

from dataclasses import dataclass
from datetime import datetime

from gridhaul.cli.text import clause, progress, size, size_or_unknown
from gridhaul.cli.times import attempt_clause
from gridhaul.client.records import DeliveryRecord, FileRecord, destinations

RUNNING = frozenset({"RECEIVING", "STORING", "STREAMING", "COMMITTING"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    name: str
    source: str
    size: str
    state: str
    target: str
    time: str  # as the api writes it
    id: str
    note: str  # "" if there is nothing to say


def file_row(file: FileRecord, *, now: datetime) -> Row:
    received = "received " if file["state"] == "RECEIVING" else ""
    done = received + progress(file["stored_bytes"], file["length"], file["rate"])
    return Row(
        name=file["name"],
        source=file["file_path"] or "-",
        size=size_or_unknown(file["length"]),
        state=file["state"],
        target=", ".join(dict.fromkeys(one["target"] for one in destinations(file))) or "-",
        time=file["created_at"],
        id=file["file_id"],
        note=_note(file, done, now=now),
    )


def delivery_row(delivery: DeliveryRecord, *, now: datetime) -> Row:
    done = progress(delivery["sent_bytes"], delivery["length"], delivery["rate"])
    return Row(
        name=delivery["object_name"],
        source=delivery["source_path"] or "-",
        size=size(delivery["length"]),
        state=delivery["state"],
        target=delivery["target"],
        time=delivery["created_at"],
        id=delivery["delivery_id"],
        note=_lost(delivery) or _note(delivery, done, now=now),
    )


def _lost(delivery: DeliveryRecord) -> str:
    error = delivery["object_error"]
    return f"{error['code']}: {clause(error['detail'])}" if error else ""


def _note(record: FileRecord | DeliveryRecord, done: str, *, now: datetime) -> str:
    """Return why the record waits or failed and when its next attempt begins, else the progress of a running one."""
    error, waiting, at = record["error"], record["waiting"], record["next_attempt_at"]
    told = []
    if waiting:
        told.append(f"waiting: {clause(waiting['detail'])}")
    elif error:
        told.append(f"{error['code']}: {clause(error['detail'])}")
    if at is not None:
        told.append(attempt_clause(at, now=now))
    if not told and record["state"] in RUNNING:
        told.append(done)
    return "; ".join(told)
