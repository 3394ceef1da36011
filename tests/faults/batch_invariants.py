"""The promises of batches that hold after every fault: a batch that is over says of its files what is true of them."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.journeys.operator import Json

FINAL_BATCHES = ("DONE", "CANCELLED", "PAUSED", "DELETED")


def broken_promises(database: Any) -> Iterator[str]:
    """Yield each statement of a batch that is DONE which its members contradict."""
    for batch in database["batches"].find({"state": "DONE"}):
        files = list(database["files"].find({"batch_id": batch["_id"]}))
        deliveries = list(database["deliveries"].find({"batch_id": batch["_id"]}))
        found = [*_miscounted(batch, files, deliveries), *_misdigested(batch, files), *_twice(files)]
        found += _not_sent(batch, files, deliveries)
        yield from (f"batch {batch['_id']}: {one}" for one in found)


def _miscounted(batch: Json, files: list[Json], deliveries: list[Json]) -> Iterator[str]:
    for kind, members in (("files", files), ("deliveries", deliveries)):
        said = {state: group["count"] for state, group in batch["counts"][kind].items()}
        there = Counter(one["state"] for one in members)
        if said != there:
            yield f"the counts say {said} {kind}, there are {dict(there)}"


def _misdigested(batch: Json, files: list[Json]) -> Iterator[str]:
    stored = [one for one in files if one["state"] == "STORED"]
    lines = sorted((one["name"].encode(), one["sha256"]) for one in stored)
    digest = hashlib.sha256(b"".join(sums_line(name, sha256) for name, sha256 in lines)).hexdigest()
    there = {"files": len(stored), "bytes": sum(one["length"] for one in stored), "sha256sums": digest}
    if batch["summary"] != there:
        yield f"the summary says {batch['summary']}, the files say {there}"


def sums_line(name: bytes, sha256: str) -> bytes:
    """Return the line that `sha256sum` prints."""
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return (b"\\" if escaped != name else b"") + sha256.encode() + b"  " + escaped + b"\n"


def _twice(files: list[Json]) -> Iterator[str]:
    paths = Counter(one["path"] for one in files)
    yield from (f"{path} is registered {count} times" for path, count in paths.items() if count > 1)


def _not_sent(batch: Json, files: list[Json], deliveries: list[Json]) -> Iterator[str]:
    """Yield each stored file that has not one delivery to each target of the batch."""
    targets = sorted(wanted["target"] for wanted in batch["deliver_to"])
    made: dict[Any, list[str]] = {one["_id"]: [] for one in files}
    for delivery in deliveries:
        made[delivery["file_id"]].append(delivery["target"])
    for one in files:
        if one["state"] == "STORED" and sorted(made[one["_id"]]) != targets:
            yield f"{one['name']} has deliveries to {made[one['_id']]} instead of {targets}"
