"""Writes what became of each file of a batch as JSON Lines, and its digests as `sha256sum` writes them."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridhaul.client import Client
from gridhaul.client.batch_records import SkippedRecord
from gridhaul.client.records import DeliveryRecord, FileRecord

Line = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Papers:
    """The files to write about a batch that is over; None: not wanted."""

    report: Path | None
    sha256sums: Path | None

    @property
    def wanted(self) -> bool:
        return self.report is not None or self.sha256sums is not None

    def write(self, client: Client, batch_id: str) -> None:
        """Raises ClientError, OSError."""
        if self.report is not None:
            with self.report.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in report_lines(client, batch_id))
        if self.sha256sums is not None:
            with self.sha256sums.open("wb") as digests:
                client.batches.write_sha256sums(batch_id, digests)


def report_lines(client: Client, batch_id: str) -> Iterator[Line]:
    """Yield an object for each file, in the byte order of names, then one for each path that was skipped.

    A batch may have a million deliveries, so a temporary database on the disk holds them while files are listed.
    """
    with closing(sqlite3.connect("")) as held:
        held.execute("CREATE TABLE deliveries (file_id TEXT, line TEXT)")
        rows = ((one["file_id"], json.dumps(_delivery(one))) for one in client.batches.deliveries(batch_id, states=()))
        held.executemany("INSERT INTO deliveries VALUES (?, ?)", rows)
        held.execute("CREATE INDEX of_file ON deliveries (file_id)")
        for file in client.batches.files_by_name(batch_id):
            found = held.execute("SELECT line FROM deliveries WHERE file_id = ? ORDER BY rowid", (file["file_id"],))
            yield _file(file, [json.loads(line) for (line,) in found])
    yield from map(_skipped, client.batches.skipped(batch_id))


def _file(file: FileRecord, deliveries: list[Line]) -> Line:
    return {
        "name": file["name"],
        "path": file["file_path"],
        "file_id": file["file_id"],
        "state": file["state"],
        "length": file["length"],
        "sha256": file["digests"].get("sha-256"),
        "error": file["error"],
        "deliveries": deliveries,
    }


def _delivery(delivery: DeliveryRecord) -> Line:
    receipt = delivery["receipt"]
    return {
        "delivery_id": delivery["delivery_id"],
        "target": delivery["target"],
        "object_name": delivery["object_name"],
        "state": delivery["state"],
        "location": receipt["location"] if receipt else None,
        "error": delivery["error"],
    }


def _skipped(skipped: SkippedRecord) -> Line:
    return {"path": skipped["path"], "state": "SKIPPED", "reason": skipped["reason"], "detail": skipped["detail"]}
