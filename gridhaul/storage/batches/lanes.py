"""Lanes in MongoDB: each owes hints for the members of one batch in one queue."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import cast

from bson import ObjectId
from pymongo import ReturnDocument

from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import GONE, NOW
from gridhaul.transfer.batches import Lane, Token
from gridhaul.transfer.model import Hint, Queue, RecordId


@maps_database_errors
class MongoLanes:
    """The port `transfer.ports.batches.Lanes` on MongoDB.

    A lane's message carries the lane's `token`. Whoever answers the message writes the token of the next one. So
    messages that were sent twice never become more messages.
    """

    def __init__(self, database: Database) -> None:
        self._collection = database["lanes"]

    async def wake(self, batch_id: RecordId, owner: str, queues: Collection[Queue]) -> Sequence[Hint]:
        return [await self._wake(batch_id, owner, queue) for queue in sorted(queues)]

    async def take(self, token: Token) -> Lane | None:
        answered = [{"$set": {"token": ObjectId(), "hint_at": GONE, "hinted_at": NOW}}]
        document = await self._collection.find_one_and_update(
            {"token": ObjectId(token)}, answered, return_document=ReturnDocument.AFTER
        )
        return _lane(document) if document else None

    async def rest(self, lane: Lane, until: datetime | None) -> bool:
        unchanged = {"token": ObjectId(lane.token), "revision": lane.revision}
        then = GONE if until is None else {"$literal": until}
        rested = await self._collection.update_one(unchanged, [{"$set": {"hint_at": then, "hinted_at": GONE}}])
        return rested.matched_count == 1

    async def owe(self, lane: Lane, until: datetime) -> None:
        later = {"$or": [{"hint_at": {"$exists": False}}, {"hint_at": {"$gt": until}}]}
        rests = {"batch_id": ObjectId(lane.batch_id), "queue": lane.queue.value, "hinted_at": {"$exists": False}}
        await self._collection.update_one({**rests, **later}, {"$set": {"hint_at": until}})

    async def _wake(self, batch_id: RecordId, owner: str, queue: Queue) -> Hint:
        """Write the lane. The hint of a lane that is hinted already is repeated with the same token."""
        values = {"owner": {"$literal": owner}, "token": {"$ifNull": ["$token", ObjectId()]}}
        woken = {"revision": {"$add": [{"$ifNull": ["$revision", 0]}, 1]}, "hint_at": GONE, "hinted_at": NOW}
        document = await self._collection.find_one_and_update(
            {"batch_id": ObjectId(batch_id), "queue": queue.value},
            [{"$set": {**values, **woken}}],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return _lane(cast("Document", document)).hint  # an upsert always returns a document


def _lane(document: Document) -> Lane:
    return Lane(
        batch_id=RecordId(str(document["batch_id"])),
        owner=document["owner"],
        queue=Queue(document["queue"]),
        token=Token(RecordId(str(document["token"]))),
        revision=document["revision"],
    )
