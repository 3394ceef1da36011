"""Counts by state and by media type. An index holds all that is counted, so that counting reads no record."""

from collections.abc import Iterable
from typing import Any

from gridhaul.storage.accounts.usage import COUNTED_STATES
from gridhaul.storage.connect import Collection, Database, Document, maps_database_errors, server_time
from gridhaul.storage.listing import DELIVERY_LISTS, directed
from gridhaul.storage.schema import USAGE_INDEX
from gridhaul.transfer.batches import Group
from gridhaul.transfer.listing import TYPES_NAMED, AccountCounts, TypeCounts
from gridhaul.transfer.states import DeliveryState, FileState

COUNT_MILLISECONDS = 10_000  # the longest that one count may take
_COUNTED: Document = {"count": {"$sum": 1}, "bytes": {"$sum": "$length"}}
_SUMMED: Document = {"count": {"$sum": "$count"}, "bytes": {"$sum": "$bytes"}}
_LARGEST: list[Document] = [{"$sort": {"bytes": -1, "count": -1, "_id": 1}}, {"$limit": TYPES_NAMED}]


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

    async def types_of_account(self, owner: str) -> TypeCounts:
        counted_at, theirs = await server_time(self._database), {"owner": owner, "state": {"$in": COUNTED_STATES}}
        pipeline: list[dict[str, Any]] = [
            {"$match": theirs},
            {"$group": {"_id": "$content_type", **_COUNTED}},
            {"$facet": {"largest": _LARGEST, "all": [{"$group": {"_id": None, **_SUMMED}}]}},
        ]
        files = self._database["files"]
        cursor = await files.aggregate(pipeline, hint=dict(USAGE_INDEX), maxTimeMS=COUNT_MILLISECONDS)
        (found,) = await cursor.to_list()
        largest = {group["_id"]: _group(group) for group in found["largest"]}
        return TypeCounts(
            largest=largest, others=_rest(map(_group, found["all"]), largest.values()), counted_at=counted_at
        )


async def count_by_state(documents: Collection, condition: Document, index: list[tuple[str, int]]) -> dict[str, Group]:
    """Return the number of documents that meet the condition, and the sum of their lengths, by state.

    `index` has all fields of the condition, and `state` and `length`.
    """
    pipeline: list[dict[str, Any]] = [{"$match": condition}, {"$group": {"_id": "$state", **_COUNTED}}]
    groups = await documents.aggregate(pipeline, hint=dict(index), maxTimeMS=COUNT_MILLISECONDS)
    return {group["_id"]: _group(group) async for group in groups}


def _group(counted: Document) -> Group:
    return Group(count=counted["count"], bytes=counted["bytes"])


def _rest(everything: Iterable[Group], some: Iterable[Group]) -> Group:
    """Return what is left of everything without some of its groups."""
    count, length = 0, 0
    for sign, groups in ((1, everything), (-1, some)):
        for group in groups:
            count, length = count + sign * group.count, length + sign * group.bytes
    return Group(count=count, bytes=length)
