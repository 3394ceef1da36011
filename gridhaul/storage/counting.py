"""Counts by state. An index holds states and lengths, so that counting reads no record."""

from typing import Any

from gridhaul.storage.connect import Collection, Database, Document, maps_database_errors, server_time
from gridhaul.storage.listing import DELIVERY_LISTS, directed
from gridhaul.storage.schema import USAGE_INDEX
from gridhaul.transfer.batches import Group
from gridhaul.transfer.listing import AccountCounts
from gridhaul.transfer.states import DeliveryState, FileState

COUNT_SECONDS = 10.0  # the longest that one count may take


@maps_database_errors
class MongoAccountCounting:
    """The port `transfer.ports.counting.AccountCounting` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_account(self, owner: str) -> AccountCounts:
        counted_at, theirs = await server_time(self._database), {"owner": owner}
        files = await count_by_state(self._database["files"], theirs, [*USAGE_INDEX])
        deliveries = await count_by_state(self._database["deliveries"], theirs, directed(DELIVERY_LISTS.owner.keys))
        return AccountCounts(
            files={FileState(state): group for state, group in files.items()},
            deliveries={DeliveryState(state): group for state, group in deliveries.items()},
            counted_at=counted_at,
        )


async def count_by_state(documents: Collection, condition: Document, index: list[tuple[str, int]]) -> dict[str, Group]:
    """Return the number of documents that meet the condition, and the sum of their lengths, by state.

    `index` has all fields of the condition, and `state` and `length`.
    """
    counted = {"count": {"$sum": 1}, "bytes": {"$sum": "$length"}}
    pipeline: list[dict[str, Any]] = [{"$match": condition}, {"$group": {"_id": "$state", **counted}}]
    groups = await documents.aggregate(pipeline, hint=dict(index), maxTimeMS=round(COUNT_SECONDS * 1000))
    return {group["_id"]: Group(count=group["count"], bytes=group["bytes"]) async for group in groups}
