"""Inserts of many documents, some of which may be stored already."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from pymongo.errors import BulkWriteError, DuplicateKeyError

from gridhaul.storage.connect import Collection, Document
from gridhaul.transfer.errors import StaleFence

DUPLICATE_KEY = 11000

T = TypeVar("T")


async def found_by_all(inserts: Iterable[Awaitable[Iterable[T]]]) -> list[T]:
    """Wait until all inserts have ended. Return what they returned, in one list. Raises the first error.

    An insert that went on after an error of another would hold bytes in memory that no limit counts any more.
    """
    outcomes = await asyncio.gather(*inserts, return_exceptions=True)
    found: list[T] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        found += outcome
    return found


async def insert_unlike(collection: Collection, documents: Sequence[Document]) -> list[Any]:
    """Insert documents with a field `digests`. Return each `_id` that is stored already with other digests."""
    if not documents:
        return []
    repeated = [documents[at] for at in await doubles(collection.insert_many(documents, ordered=False))]
    if not repeated:
        return []
    wanted = {"_id": {"$in": [document["_id"] for document in repeated]}}
    held = [(found["_id"], found["digests"]) async for found in collection.find(wanted, {"digests": 1})]
    return [one["_id"] for one in repeated if (one["_id"], one["digests"]) not in held]


async def replace_older(collection: Collection, document: Document, *, fence: int) -> None:
    """Store the document with the fence, in place of a document with a lower fence, the same fence or none.

    Raises StaleFence if the stored document has a higher fence: a write that is carried out late must not undo a write
    under a higher fence.
    """
    not_later = {"_id": document["_id"], "fence": {"$not": {"$gt": fence}}}
    for _ in range(2):  # a copy of this write may insert the document between MongoDB's search and its insert
        with suppress(DuplicateKeyError):
            await collection.replace_one(not_later, {**document, "fence": fence}, upsert=True)
            return
    raise StaleFence("Another request has gone on with this content since.")


async def doubles(write: Awaitable[object]) -> list[int]:
    """Wait for an unordered bulk write. Return the positions of the documents whose key is taken.

    Raises BulkWriteError for every other failure.
    """
    try:
        await write
    except BulkWriteError as error:
        failures = error.details["writeErrors"]
        if error.details["writeConcernErrors"] or any(failure["code"] != DUPLICATE_KEY for failure in failures):
            raise
        return [failure["index"] for failure in failures]
    return []
