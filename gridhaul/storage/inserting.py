"""Inserts of many documents, of which some may be there already."""

from collections.abc import Awaitable, Sequence

from pymongo.errors import BulkWriteError

from gridhaul.storage.connect import Collection, Document

DUPLICATE_KEY = 11000


async def insert(collection: Collection, documents: Sequence[Document]) -> list[int]:
    """Insert; the positions of those whose key was taken."""
    return await doubles(collection.insert_many(documents, ordered=False)) if documents else []


async def doubles(write: Awaitable[object]) -> list[int]:
    """Wait for an unordered bulk write; the positions of what could not be inserted because its key was taken."""
    try:
        await write
    except BulkWriteError as error:
        failures = error.details["writeErrors"]
        if error.details["writeConcernErrors"] or any(failure["code"] != DUPLICATE_KEY for failure in failures):
            raise
        return [failure["index"] for failure in failures]
    return []
