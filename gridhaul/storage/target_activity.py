"""The activity of an account at its targets. The counts read an index alone, and each last delivery is one record."""

from collections import defaultdict
from typing import Any

from gridhaul.storage.connect import Database, Document, maps_database_errors, server_time
from gridhaul.storage.counting import COUNT_MILLISECONDS
from gridhaul.storage.listing import DELIVERY_LISTS, NEWEST_FIRST, directed
from gridhaul.storage.schema import STOPPED_AT_TARGET, STOPPED_WITH_ERROR
from gridhaul.transfer.model import Failure, RecordId
from gridhaul.transfer.states import DeliveryState
from gridhaul.transfer.target_activity import STOPPED, AccountActivity, LastDelivered, LastError, TargetActivity

BY_TARGET = DELIVERY_LISTS.target.keys
SHOWN = dict.fromkeys(("object_name", "ended_at", "updated_at", "error"), 1)


@maps_database_errors
class MongoActivityCounting:
    """The port `transfer.ports.target_activity.ActivityCounting` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._deliveries = database["deliveries"]

    async def of_account(self, owner: str) -> AccountActivity:
        counted_at = await server_time(self._database)
        counts = await self._counts(owner)
        targets = {target: await self._activity(owner, target, found) for target, found in counts.items()}
        return AccountActivity(targets=targets, counted_at=counted_at)

    async def _counts(self, owner: str) -> dict[str, dict[DeliveryState, int]]:
        """Return the number of the account's deliveries by target and state."""
        # The index has only records with a target, and serves only a condition that says so.
        theirs: Document = {"owner": owner, "target": {"$gt": ""}}
        group: Document = {"_id": {"target": "$target", "state": "$state"}, "count": {"$sum": 1}}
        pipeline: list[Document] = [{"$match": theirs}, {"$group": group}]
        counts: dict[str, dict[DeliveryState, int]] = defaultdict(dict)
        async for found in await self._deliveries.aggregate(
            pipeline, hint=dict(directed(BY_TARGET)), maxTimeMS=COUNT_MILLISECONDS
        ):
            by = found["_id"]
            counts[by["target"]][DeliveryState(by["state"])] = found["count"]
        return counts

    async def _activity(self, owner: str, target: str, counts: dict[DeliveryState, int]) -> TargetActivity:
        at_target: Document = {"owner": owner, "target": target}
        delivered, stopped = {**at_target, "state": DeliveryState.DELIVERED.value}, {**at_target, **STOPPED_WITH_ERROR}
        last = await self._newest(delivered, BY_TARGET) if DeliveryState.DELIVERED in counts else None
        failed = await self._newest(stopped, STOPPED_AT_TARGET) if STOPPED & counts.keys() else None
        return TargetActivity(
            counts=counts,
            last_delivered=LastDelivered(**_shown(last)) if last else None,
            last_error=LastError(**_shown(failed), error=Failure(**failed["error"])) if failed else None,
        )

    async def _newest(self, wanted: Document, index: tuple[str, ...]) -> Document | None:
        cursor = self._deliveries.find(wanted, SHOWN).sort(directed(NEWEST_FIRST)).limit(1)
        return next(iter(await cursor.hint(directed(index)).max_time_ms(COUNT_MILLISECONDS).to_list()), None)


def _shown(document: Document) -> dict[str, Any]:
    at = document.get("ended_at") or document["updated_at"]
    return {"delivery_id": RecordId(str(document["_id"])), "object_name": document["object_name"], "at": at}
