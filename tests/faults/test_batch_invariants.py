"""Each promise of a batch that its members contradict is found: the tests plant it in a database."""

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymongo
import pytest
from bson import ObjectId

from tests.faults.batch_invariants import broken_promises, sums_line
from tests.journeys.operator import Json

BATCH, FIRST, SECOND = ObjectId(), ObjectId(), ObjectId()
NAMES = {FIRST: "z", SECOND: "ü"}
SHA256 = "1" * 64
LENGTH = 5


@pytest.fixture
def database(mongo_url: str) -> Iterator[Any]:
    """Yield a database with a batch of two files that are delivered to one target; nothing is wrong with it."""
    client: pymongo.MongoClient[Json]
    with pymongo.MongoClient(mongo_url, tz_aware=True) as client:
        name = f"test-{uuid4().hex}"
        plant_batch(client[name])
        yield client[name]
        client.drop_database(name)


def plant_batch(database: Any) -> None:
    for file_id, name in NAMES.items():
        file = {"_id": file_id, "name": name, "path": f"/srv/{name}", "sha256": SHA256, "length": LENGTH}
        database["files"].insert_one({**file, "batch_id": BATCH, "state": "STORED"})
        delivery = {"file_id": file_id, "target": "hashed", "batch_id": BATCH, "state": "DELIVERED"}
        database["deliveries"].insert_one(delivery)
    text = "".join(f"{SHA256}  {name}\n" for name in NAMES.values()).encode()
    summary = {"files": 2, "bytes": 2 * LENGTH, "sha256sums": hashlib.sha256(text).hexdigest()}
    two = {"count": 2, "bytes": 2 * LENGTH}
    counts = {"files": {"STORED": two}, "deliveries": {"DELIVERED": two}}
    batch = {"_id": BATCH, "state": "DONE", "deliver_to": [{"target": "hashed"}]}
    database["batches"].insert_one({**batch, "counts": counts, "summary": summary})


def test_nothing_is_found_where_nothing_is_wrong(database: Any) -> None:
    assert [*broken_promises(database)] == []


Plant = Callable[[Any], object]
BROKEN: dict[str, Plant] = {
    "counts of files": lambda database: database["batches"].update_one({}, {"$set": {"counts.files.STORED.count": 3}}),
    "counts of deliveries": lambda database: database["batches"].update_one({}, {"$set": {"counts.deliveries": {}}}),
    "digest": lambda database: database["batches"].update_one({}, {"$set": {"summary.sha256sums": SHA256}}),
    "a path twice": lambda database: database["files"].update_one({}, {"$set": {"path": f"/srv/{NAMES[SECOND]}"}}),
    "a file that did not go to a target": lambda database: database["deliveries"].update_one(
        {}, {"$set": {"target": "other"}}
    ),
}


@pytest.mark.parametrize("plant", BROKEN.values(), ids=BROKEN)
def test_broken_promise_is_found(database: Any, plant: Plant) -> None:
    plant(database)
    assert len([*broken_promises(database)]) == 1


@pytest.mark.parametrize("name", ["plain", "back\\slash", "two\nlines", "a\rb", " ü "])
def test_line_is_the_one_of_sha256sum(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    printed = subprocess.run(["sha256sum", name], cwd=tmp_path, check=True, capture_output=True).stdout
    assert sums_line(name.encode(), hashlib.sha256(b"x").hexdigest()) == printed
