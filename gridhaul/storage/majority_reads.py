"""Reads that must not miss what was acknowledged before the primary of a replica set changed.

A new primary answers majority reads from what it knows to be confirmed, and for a moment that can be less than its
predecessor acknowledged. A majority write, even of nothing, is answered when all that the primary holds is confirmed.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gridhaul.storage.connect import Collection, Document, ThreadsCollection

T = TypeVar("T")

NOTHING = ({"_id": None}, {"$unset": {"nothing": ""}})  # which document, and its change


async def catch_up(collection: Collection) -> None:
    """After this a majority read sees all that was ever acknowledged. Changes nothing."""
    await collection.update_one(*NOTHING)


def catch_up_in_thread(collection: ThreadsCollection) -> None:
    """The same, in a thread."""
    collection.update_one(*NOTHING)


def find_with_catch_up_in_thread(collection: ThreadsCollection, wanted: Document, *fields: str) -> Document | None:
    """In a thread: the document, or these fields of it, if need be after the primary has caught up."""
    found = collection.find_one(wanted, fields or None)
    if found is None:
        catch_up_in_thread(collection)
        found = collection.find_one(wanted, fields or None)
    return found


async def read_with_catch_up(
    collection: Collection, read: Callable[[], Awaitable[T]], *, found: Callable[[T], bool]
) -> T:
    """Return the result of `read`. Where `found` denies it, let the primary catch up and return a second result."""
    seen = await read()
    if found(seen):
        return seen
    await catch_up(collection)
    return await read()
