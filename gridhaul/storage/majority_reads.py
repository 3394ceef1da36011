"""Reads that miss no write which was acknowledged before the primary of a replica set changed.

A new primary answers majority reads from the writes that it knows to be confirmed by a majority. For a moment these can
be fewer than its predecessor acknowledged. A majority write, even one that changes nothing, is acknowledged only once
all that the primary holds is confirmed.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gridhaul.storage.connect import Collection, Document, ThreadsCollection

T = TypeVar("T")

NOTHING = ({"_id": None}, {"$unset": {"nothing": ""}})  # filter and change of an update that matches no document


async def catch_up(collection: Collection) -> None:
    """Wait until majority reads see every write that was ever acknowledged. Changes nothing."""
    await collection.update_one(*NOTHING)


def catch_up_in_thread(collection: ThreadsCollection) -> None:
    """Wait as `catch_up` does. For threads."""
    collection.update_one(*NOTHING)


def find_with_catch_up_in_thread(
    collection: ThreadsCollection, wanted: Document, projection: Document | None = None
) -> Document | None:
    """Return the document, or the `projection` of it; None if there is none. For threads.

    If no document is found, let the primary catch up and look again.
    """
    found = collection.find_one(wanted, projection)
    if found is None:
        catch_up_in_thread(collection)
        found = collection.find_one(wanted, projection)
    return found


async def read_with_catch_up(
    collection: Collection, read: Callable[[], Awaitable[T]], *, found: Callable[[T], bool]
) -> T:
    """Return the result of `read`. If `found` is False for it, let the primary catch up and return a second result."""
    seen = await read()
    if found(seen):
        return seen
    await catch_up(collection)
    return await read()
