"""Indexes serve the looks at the members of a large batch: nothing is sorted, and hardly more is read than shown."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from gridhaul.storage.connect import Database, Document
from gridhaul.transfer.batches import Skipped
from gridhaul.transfer.model import Queue, RecordId
from gridhaul.transfer.states import Action, DeliveryState, FileState
from tests.contracts.ports import (
    A_BATCH,
    Ports,
    mongo_ports,
    new_batch,
    new_file,
    new_member,
    new_members_delivery,
    registered,
)

MEMBERS = 3000
LIMIT = 50
FEW = 5
OWNER, TARGET = "operator", "archive"


class Reads:
    """The queries of a test since the last look at them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self) -> None:
        await self._database.command("profile", 0)
        await self._database["system.profile"].drop()
        await self._database.command("profile", 2)

    async def require_at_most(self, documents: int, *, queries: int) -> None:
        """Require that an index served so many queries without a sort, and that few documents were read."""
        own: Document = {"ns": {"$not": {"$regex": "system"}}, "planSummary": {"$exists": True}}
        plans = await self._database["system.profile"].find(own).to_list()
        begun = [plan["command"] for plan in plans if plan["op"] != "getmore"]
        assert len(begun) == queries, begun
        for plan in plans:
            assert "IXSCAN" in plan["planSummary"], plan["command"]
            assert not plan.get("hasSortStage"), plan["command"]
        assert sum(plan.get("docsExamined", 0) for plan in plans) <= documents, plans


@pytest.fixture
async def reads(database: Database) -> AsyncIterator[Reads]:
    yield Reads(database)
    await database.command("profile", 0)


@pytest.fixture
async def ports(database: Database) -> Ports:
    """Return the ports over a batch of many files with as many deliveries, beside as many of another batch."""
    ports = mongo_ports(database, lease_seconds=60)
    await _many(database, "files", (await registered(ports, new_member("x"))).id, ("name", "path"))
    delivery, _ = await ports.deliveries.open(replace(new_members_delivery("x"), source_path="/srv/x"))
    await _many(database, "deliveries", delivery.id, ("object_name", "source_path"))
    return ports


async def _many(database: Database, kind: str, model_id: RecordId, names: Sequence[str]) -> None:
    """Insert records like the model: in turn of the batch and of another one. All are due, one after the other."""
    model = await database[kind].find_one_and_delete({"_id": ObjectId(model_id)})
    assert model is not None
    documents = []
    for number in range(2 * MEMBERS):
        own = dict.fromkeys(names, f"/srv/run/{number:05}")
        since = model["created_at"] + timedelta(microseconds=1000 * (number - 10 * MEMBERS))
        batch_id = ObjectId(A_BATCH) if number % 2 else ObjectId(b"another-one!")
        documents.append({**model, **own, "_id": ObjectId(), "batch_id": batch_id, "next_attempt_at": since})
    await database[kind].insert_many(documents)


async def _rest_in(database: Database, kind: str, state: str) -> None:
    """Let all records of the kind rest in the state."""
    await database[kind].update_many({}, {"$set": {"state": state}, "$unset": {"next_attempt_at": 1}})


async def test_look_for_due_members_reads_those_that_it_returns(ports: Ports, database: Database, reads: Reads) -> None:
    await reads.begin()
    due = await ports.members.due(A_BATCH, Queue.SMALL, limit=LIMIT)
    assert len(due.deliveries) == LIMIT
    await reads.require_at_most(LIMIT + FEW, queries=1)
    await _rest_in(database, "deliveries", DeliveryState.DELIVERED)
    await reads.begin()
    due = await ports.members.due(A_BATCH, Queue.SMALL, limit=LIMIT)
    assert len(due.files) == LIMIT
    await reads.require_at_most(LIMIT + FEW, queries=2)


async def test_look_for_the_next_due_member_reads_hardly_any(ports: Ports, database: Database, reads: Reads) -> None:
    await reads.begin()
    assert await ports.members.next_due(A_BATCH, Queue.SMALL) is not None
    await reads.require_at_most(FEW, queries=2)
    later = [{"$set": {"next_attempt_at": {"$add": ["$$NOW", 3_600_000]}}}]
    for kind in ("files", "deliveries"):
        await database[kind].update_many({}, later)
    await reads.begin()
    assert await ports.members.next_due(A_BATCH, Queue.SMALL) is not None
    await reads.require_at_most(FEW, queries=6)


async def test_look_whether_a_batch_is_over_reads_hardly_any(ports: Ports, database: Database, reads: Reads) -> None:
    await reads.begin()
    assert await ports.members.any_open(A_BATCH)
    await reads.require_at_most(FEW, queries=1)
    await _rest_in(database, "files", FileState.STORED)
    await reads.begin()
    assert await ports.members.any_open(A_BATCH)
    await reads.require_at_most(FEW, queries=3)
    await _rest_in(database, "deliveries", DeliveryState.DELIVERED)
    await reads.begin()
    assert not await ports.members.any_open(A_BATCH)
    await reads.require_at_most(FEW, queries=3)


async def test_counts_read_no_record(ports: Ports, reads: Reads) -> None:
    await reads.begin()
    counts = await ports.members.counts(A_BATCH)
    assert (counts.files["REGISTERED"].count, counts.deliveries["QUEUED"].count) == (MEMBERS, MEMBERS)
    await reads.require_at_most(0, queries=2)


async def test_counts_of_skipped_paths_read_no_path(ports: Ports, reads: Reads) -> None:
    paths = [Skipped(path=f"/srv/{number}", reason=f"r{number % 2}", detail="") for number in range(MEMBERS)]
    await ports.skipped.add(A_BATCH, paths)
    await reads.begin()
    assert await ports.skipped.counts(A_BATCH) == {"r0": MEMBERS // 2, "r1": MEMBERS // 2}
    await reads.require_at_most(0, queries=1)


async def test_look_for_deliveries_that_are_worked_on_reads_hardly_any(
    ports: Ports, database: Database, reads: Reads
) -> None:
    await reads.begin()
    assert await ports.members.any_deliverable(A_BATCH)
    await reads.require_at_most(FEW, queries=1)
    await _rest_in(database, "deliveries", DeliveryState.DELIVERED)
    await reads.begin()
    assert not await ports.members.any_deliverable(A_BATCH)
    await reads.require_at_most(FEW, queries=1)


async def test_stored_files_are_read_once_in_the_order_of_their_names(
    ports: Ports, database: Database, reads: Reads
) -> None:
    await database["files"].update_many({}, {"$set": {"state": FileState.STORED, "sha256": "ab" * 32}})
    await reads.begin()
    names = [member.name async for member in ports.members.stored(A_BATCH)]
    assert len(names) == MEMBERS
    assert names == sorted(names)
    await reads.require_at_most(MEMBERS, queries=1)


async def test_members_that_follow_or_failed_or_are_deleted_are_read_page_by_page(
    ports: Ports, database: Database, reads: Reads
) -> None:
    await database["files"].update_many({}, {"$set": {"state": FileState.FAILED}})
    await reads.begin()
    page = await ports.members.failed_files(A_BATCH, after=None, limit=LIMIT)
    assert len(await ports.members.failed_files(A_BATCH, after=page[-1].id, limit=LIMIT)) == LIMIT
    await reads.require_at_most(2 * (LIMIT + FEW), queries=2)
    await database["files"].update_many({}, {"$set": {"state": FileState.DELETED}})
    await reads.begin()
    page = await ports.deletion.deleted(A_BATCH, after=None, limit=LIMIT)
    assert len(await ports.deletion.deleted(A_BATCH, after=page[-1].id, limit=LIMIT)) == LIMIT
    await reads.require_at_most(2 * (LIMIT + FEW), queries=2)
    assert not await ports.members.follow(A_BATCH, Action.RESUME, who=None, limit=LIMIT)


async def test_files_to_be_deleted_are_read_as_many_as_are_deleted(
    ports: Ports, database: Database, reads: Reads
) -> None:
    await database["files"].update_many({}, {"$set": {"state": FileState.STORED}})
    await reads.begin()
    found = await ports.deletion.begin_delete(A_BATCH, limit=LIMIT)
    assert (len(found.files), found.busy) == (LIMIT, 0)
    # The files are read before and after the write, which reads them too.
    await reads.require_at_most(3 * (LIMIT + FEW), queries=4)


async def test_former_deliveries_are_found_by_their_paths(ports: Ports, database: Database, reads: Reads) -> None:
    file = await registered(ports, new_file())
    delivered = {"state": DeliveryState.DELIVERED, "file_id": ObjectId(file.id)}
    await database["deliveries"].update_many({}, [{"$set": {**delivered, "ended_at": "$$NOW"}}])
    names = {path: path for path in (f"/srv/run/{number:05}" for number in range(LIMIT))}
    await reads.begin()
    assert len(await ports.former.sources(OWNER, TARGET, names)) == LIMIT
    await reads.require_at_most(LIMIT + FEW, queries=2)
    await reads.begin()
    page = await ports.former.paths(OWNER, TARGET, beneath="/srv/run", after="", limit=LIMIT)
    assert len(await ports.former.paths(OWNER, TARGET, beneath="/srv/run", after=page[-1], limit=LIMIT)) == LIMIT
    await reads.require_at_most(2 * (LIMIT + FEW), queries=2)


async def test_whose_turn_it_is_reads_the_records_of_one_owner(ports: Ports, database: Database, reads: Reads) -> None:
    for kind in ("files", "deliveries"):
        await database[kind].update_many({}, [{"$set": {"hinted_at": "$$NOW", "length": 2**30}}])
    await ports.lanes.wake(A_BATCH, "somebody", [Queue.SMALL])
    await reads.begin()
    turn = await ports.waiting_owners.next(Queue.SMALL, after="", instead_of=OWNER)
    assert turn is not None
    assert turn[0] == "somebody"
    await reads.require_at_most(FEW, queries=3)


async def test_open_batches_of_an_account_are_counted_up_to_the_limit(
    ports: Ports, database: Database, reads: Reads
) -> None:
    batch, _ = await ports.batches.register(new_batch())
    model = await database["batches"].find_one_and_delete({"_id": ObjectId(batch.id)})
    assert model is not None
    states = ("DONE", "DONE", "DONE", "RUNNING")
    many: list[dict[str, Any]] = [{**model, "_id": ObjectId(), "state": states[n % 4]} for n in range(MEMBERS)]
    await database["batches"].insert_many(many)
    await reads.begin()
    assert await ports.batches.count_open(OWNER, limit=LIMIT) == LIMIT
    assert len(await ports.batches.page(owner=OWNER, states=(), limit=LIMIT, before=None)) == LIMIT
    await reads.require_at_most(LIMIT + FEW, queries=2)
