"""Waits for files and deliveries by their records in the database: polling the api would load the measured system."""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from bench.errors import TransferFailed
from bench.peers.gridfs import Document
from bench.timing import wait_for

FAILED = frozenset({"FAILED", "CANCELLED"})
SHOWN = {"state": 1, "error": 1}


class Records:
    """The records of one installation. Every wait raises TransferFailed when the awaited state cannot be reached."""

    def __init__(self, database: Database[Document]) -> None:
        self._files = database["files"]
        self._deliveries = database["deliveries"]
        self._batches = database["batches"]

    def wait_for_file(self, file_id: str, state: str) -> None:
        wanted = {"_id": ObjectId(file_id)}
        wait_for(lambda: _is_in(state, self._files.find_one(wanted, SHOWN)), what=f"file {file_id} is {state}")

    def wait_for_delivery(self, delivery_id: str) -> None:
        wanted = {"_id": ObjectId(delivery_id)}
        what = f"delivery {delivery_id} is DELIVERED"
        wait_for(lambda: _is_in("DELIVERED", self._deliveries.find_one(wanted, SHOWN)), what=what)

    def wait_for_delivery_of(self, file_id: str) -> None:
        """Wait until the file's only delivery is DELIVERED. The delivery is made when the file is STORED."""
        wait_for(lambda: self._delivered(ObjectId(file_id)), what=f"file {file_id} is DELIVERED")

    def wait_for_count(self, state: str, count: int) -> None:
        """Wait until `count` files or more are in the state."""
        wait_for(lambda: self.count(state) >= count, what=f"{count} files are {state}")

    def count(self, state: str) -> int:
        """Return how many files are in the state. Raises TransferFailed if any file is FAILED."""
        if failed := self._files.find_one({"state": "FAILED"}, SHOWN):
            raise TransferFailed(f"A file is FAILED: {failed['error']}")
        return self._files.count_documents({"state": state})

    def wait_for_done_batch(self, batch_id: str) -> None:
        wanted = {"_id": ObjectId(batch_id)}
        wait_for(lambda: _is_in("DONE", self._batches.find_one(wanted, SHOWN)), what=f"batch {batch_id} is DONE")

    def wait_for_delivered_batch(self, batch_id: str, count: int) -> None:
        """Wait until `count` deliveries of the batch are DELIVERED."""
        delivered, failed = ({"batch_id": ObjectId(batch_id), "state": state} for state in ("DELIVERED", "FAILED"))

        def all_are() -> bool:
            if found := self._deliveries.find_one(failed, SHOWN):
                raise TransferFailed(f"A delivery is FAILED: {found['error']}")
            return self._deliveries.count_documents(delivered) == count

        wait_for(all_are, what=f"{count} deliveries of the batch are DELIVERED")

    def batch_of(self, file_id: str) -> str:
        (file,) = self._files.find({"_id": ObjectId(file_id)}, {"batch_id": 1})
        return str(file["batch_id"])

    def files_of_batch(self, batch_id: str) -> list[str]:
        return [str(file["_id"]) for file in self._files.find({"batch_id": ObjectId(batch_id)}, {"_id": 1})]

    def _delivered(self, file_id: ObjectId) -> bool:
        if delivery := self._deliveries.find_one({"file_id": file_id}, SHOWN):
            return _is_in("DELIVERED", delivery)
        _is_in("STORED", self._files.find_one({"_id": file_id}, SHOWN))
        return False


def _is_in(state: str, record: Mapping[str, Any] | None) -> bool:
    if record is None:
        raise TransferFailed(f"A record that should be {state} does not exist.")
    if record["state"] in FAILED - {state}:
        raise TransferFailed(f"A record is {record['state']} instead of {state}: {record['error']}")
    return bool(record["state"] == state)
