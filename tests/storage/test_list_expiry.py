"""Lists that no batch uses go away by themselves; lists in use stay."""

import asyncio
import time

from gridhaul.storage.batches.lists import MongoLists
from gridhaul.storage.connect import Database
from gridhaul.transfer.lists import ListFormat, ListPage, NewList
from gridhaul.transfer.model import RecordId

NEW = NewList(owner="operator", format=ListFormat.PATHS, length=6, entries=1, relative=0, pages=1)


async def _made(lists: MongoLists) -> RecordId:
    list_id = lists.new_id()
    await lists.add_page(list_id, 0, ListPage(first_line=1, text=b"/srv/a"))
    await lists.register(list_id, NEW)
    return list_id


async def test_only_what_no_batch_uses_goes_away(database: Database) -> None:
    lists = MongoLists(database, kept_seconds=3600)
    used, unused = await _made(lists), await _made(lists)
    await lists.add_page(lists.new_id(), 0, ListPage(first_line=1, text=b"/srv/a"))  # it broke off
    assert await lists.keep(used) is not None
    ended = {"expires_at": {"$exists": True}}
    for collection in (database["lists"], database["list_pages"]):
        await collection.update_many(ended, [{"$set": {"expires_at": {"$subtract": ["$$NOW", 1000]}}}])
    deadline = time.monotonic() + 60
    while [await database[name].count_documents({}) for name in ("lists", "list_pages")] != [1, 1]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert await lists.get(unused) is None
    assert await lists.page(used, 0) is not None
