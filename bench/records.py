"""How far ours is, by its records in the database: to ask the api as often would take what is to be measured."""

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
    """Every wait raises TransferFailed when what it waits for will not come."""

    def __init__(self, database: Database[Document]) -> None:
        self._files = database["files"]
        self._deliveries = database["deliveries"]

    def wait_for_file(self, file_id: str, state: str) -> None:
        wanted = {"_id": ObjectId(file_id)}
        wait_for(lambda: _is_in(state, self._files.find_one(wanted, SHOWN)), what=f"file {file_id} is {state}")

    def wait_for_delivery(self, delivery_id: str) -> None:
        wanted = {"_id": ObjectId(delivery_id)}
        what = f"delivery {delivery_id} is DELIVERED"
        wait_for(lambda: _is_in("DELIVERED", self._deliveries.find_one(wanted, SHOWN)), what=what)

    def wait_for_delivery_of(self, file_id: str) -> None:
        """Until the file's only delivery is DELIVERED. There is none before the file is STORED."""
        wait_for(lambda: self._delivered(ObjectId(file_id)), what=f"file {file_id} is DELIVERED")

    def wait_for_count(self, state: str, count: int) -> None:
        """Until there are so many files in the state."""
        wait_for(lambda: self.count(state) >= count, what=f"{count} files are {state}")

    def count(self, state: str) -> int:
        """How many files are in the state."""
        if failed := self._files.find_one({"state": "FAILED"}, SHOWN):
            raise TransferFailed(f"A file is FAILED: {failed['error']}")
        return self._files.count_documents({"state": state})

    def _delivered(self, file_id: ObjectId) -> bool:
        if delivery := self._deliveries.find_one({"file_id": file_id}, SHOWN):
            return _is_in("DELIVERED", delivery)
        _is_in("STORED", self._files.find_one({"_id": file_id}, SHOWN))
        return False


def _is_in(state: str, record: Mapping[str, Any] | None) -> bool:
    if record is None:
        raise TransferFailed(f"There is no record of it, and it was to be {state}.")
    if record["state"] in FAILED - {state}:
        raise TransferFailed(f"It is {record['state']} instead of {state}: {record['error']}")
    return bool(record["state"] == state)
