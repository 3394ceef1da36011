"""The records of targets in MongoDB: what was seen of each, and when the next probe is due."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from math import inf
from typing import Any, ClassVar

from bson import ObjectId

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import GONE, NEVER_CLAIMED, NOW, LeasedCollection, after
from gridhaul.storage.majority_reads import read_with_catch_up
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.known_targets import (
    RETIRE_TARGET,
    TEST_TARGET,
    TargetDefinition,
    TargetRecord,
    TargetState,
    target_id,
)
from gridhaul.transfer.model import Queue, RecordId, SeenTarget
from gridhaul.transfer.ports.targets import Facts

# Of a record that no worker holds, that has nothing to clear, and for which no probe is asked: a probe that a delivery
# has made puts off the next one.
FREE: Document = {
    "$and": [
        {"$ne": ["$state", TargetState.RETIRED.value]},
        {"$not": {"$gt": ["$lease_until", NOW]}},
        {"$not": {"$gt": ["$scratch", None]}},
        {"$gt": ["$tried_at", None]},
    ]
}
AGE: Document = {"$divide": [{"$subtract": [NOW, "$seen_at"]}, 1000]}
FOUND: Document = {"facts": 1, "outdated": 1, "age": AGE}


@maps_database_errors
class MongoSeenTargets(LeasedCollection[TargetRecord, TargetState]):
    """The ports `SeenTargets`, `ProbedTargets` and `TargetRegistry` of `transfer.ports.targets` on MongoDB.

    A document of the older form has the fingerprint as its id, and is no leased record. Its facts are still found, and
    move to the target's record when the api starts: of a directory they say which disk it is.
    """

    waiting: ClassVar[frozenset[TargetState]] = frozenset({TargetState.WAITING})
    keeps_history: ClassVar[bool] = False

    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        super().__init__(database["targets"], Codec(TargetRecord), lease_seconds=lease_seconds)

    async def find(self, fingerprint: str) -> SeenTarget | None:
        async def read() -> list[Document]:
            wanted = {"_id": {"$in": [_id(fingerprint), fingerprint]}, "facts": {"$type": "object"}}
            return await (await self._collection.aggregate([{"$match": wanted}, {"$project": FOUND}])).to_list()

        found = await read_with_catch_up(self._collection, read, found=bool)
        newest_form_first = sorted(found, key=lambda document: document["_id"] == fingerprint)
        return _seen(newest_form_first[0]) if found else None

    async def note_first(
        self, fingerprint: str, name: str, facts: Facts, *, abilities: Abilities, last_seconds: float
    ) -> Facts:
        values = _noted(facts, abilities, last_seconds)
        kept = {field: {"$cond": [_has_facts(), f"${field}", value]} for field, value in values.items()}
        return await self._note(fingerprint, name, kept, last_seconds)

    async def note(
        self, fingerprint: str, name: str, facts: Facts, *, abilities: Abilities, last_seconds: float
    ) -> None:
        await self._note(fingerprint, name, _noted(facts, abilities, last_seconds), last_seconds)

    async def outdate(self, fingerprint: str) -> None:
        await self._collection.update_one({"_id": _id(fingerprint)}, {"$set": {"outdated": True}})
        noticed = {"_id": _id(fingerprint), "state": {"$in": sorted(RETIRE_TARGET.from_states)}}
        await self._write_all(noticed, self._pipeline({}, **self._owed_now()))

    async def claim(
        self, record_id: RecordId, *, holder: str, from_states: frozenset[TargetState], to_state: TargetState
    ) -> TargetRecord | None:
        """Claim the record, and let the error of the last probe stay until this one has ended."""
        values = {"state": to_state, "lease_holder": holder}
        counts = ("fence", "attempts", "fruitless_attempts")
        return await self._take(record_id, {"state": {"$in": sorted(from_states)}}, values, counts)

    async def configure(self, targets: Sequence[TargetDefinition]) -> None:
        for target in targets:
            await self._make_known(target)
        others = {"_id": {"$nin": [_id(target.fingerprint) for target in targets]}, **self._movable(RETIRE_TARGET)}
        await self._write_all(others, self._moved(RETIRE_TARGET, {}, who=None))

    async def of(self, fingerprints: Collection[str]) -> Mapping[str, TargetRecord]:
        wanted = {"_id": {"$in": [*map(_id, fingerprints)]}}
        found = [self._codec.decode(document) async for document in self._collection.find(wanted)]
        return {record.fingerprint: record for record in found}

    async def test(self, target: TargetDefinition) -> TargetRecord:
        while True:
            moved = await self.move(target_id(target.fingerprint), TEST_TARGET, tried_at=None)
            if moved is not None:
                return moved
            await self._make_known(target)

    def _released(self, to_state: TargetState, delay_seconds: float, changes: dict[str, Any]) -> list[Document]:
        stages = super()._released(to_state, delay_seconds, changes)
        return [*stages, {"$set": {"tried_at": NOW}}] if "error" in changes else stages

    def _owed_now(self) -> Document:
        """Return the times of a record for which nobody sends a hint now: the dispatcher does, or after the lease."""
        return {"next_attempt_at": NOW, "hint_at": {"$max": ["$lease_until", NOW]}, "hinted_at": GONE}

    async def _note(self, fingerprint: str, name: str, values: Document, last_seconds: float) -> Facts:
        due = after(last_seconds)
        put_off: Document = {"next_attempt_at": due, "hint_at": due, "hinted_at": GONE}
        put_off |= {"error": None, "wait": GONE, "fruitless_attempts": 0}
        free = {field: {"$cond": [FREE, value, f"${field}"]} for field, value in put_off.items()}
        changes = [*self._made(fingerprint, name), {"$set": {**values, **free, "outdated": False, "updated_at": NOW}}]
        document = await self._collection.find_one_and_update(
            {"_id": _id(fingerprint)}, changes, upsert=True, return_document=True
        )
        return document["facts"] if document else {}

    async def _make_known(self, target: TargetDefinition) -> None:
        """Make the target's record if it is missing, with the facts of an older version. Make it due if it was retired.

        A record that is there already keeps everything else.
        """
        former = await self._collection.find_one({"_id": target.fingerprint})
        facts = {name: former[name] for name in ("facts", "seen_at") if name in former} if former else {}
        kept = {name: {"$ifNull": [f"${name}", {"$literal": value}]} for name, value in facts.items()}
        retired = {"$eq": ["$state", TargetState.RETIRED.value]}
        again = {"state": TargetState.WAITING.value, "tried_at": None, **self._owed_now()}
        back = {name: {"$cond": [retired, value, f"${name}"]} for name, value in again.items()}
        changes = [*self._made(target.fingerprint, target.name), {"$set": {**kept, **back}}]
        await self._collection.update_one({"_id": _id(target.fingerprint)}, changes, upsert=True)
        await self._collection.delete_one({"_id": target.fingerprint})

    def _made(self, fingerprint: str, name: str) -> list[Document]:
        """Return the stage that makes the record, due now, if it is missing, and notes the target's name."""
        new = {**NEVER_CLAIMED, **self._owed_now(), "state": TargetState.WAITING.value, "outdated": False}
        fields = new | {"queue": Queue.MAINTENANCE.value, "fingerprint": {"$literal": fingerprint}}
        missing = {"$eq": [{"$type": "$state"}, "missing"]}
        made = {field: {"$cond": [missing, value, f"${field}"]} for field, value in fields.items()}
        return [{"$set": {**made, "name": {"$literal": name}}}]


def _id(fingerprint: str) -> ObjectId:
    return ObjectId(target_id(fingerprint))


def _seen(document: Document) -> SeenTarget:
    age = inf if document.get("outdated") else document.get("age") or 0.0
    return SeenTarget(facts=document["facts"], age_seconds=age)


def _has_facts() -> Document:
    return {"$eq": [{"$type": "$facts"}, "object"]}


def _noted(facts: Facts, abilities: Abilities, last_seconds: float) -> Document:
    """Return what a probe saw, as expressions."""
    seen = {"facts": {"$literal": dict(facts)}, "abilities": {"$literal": asdict(abilities)}}
    return {**seen, "seen_at": NOW, "fresh_until": after(last_seconds)}
