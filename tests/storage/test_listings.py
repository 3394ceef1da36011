"""Pages of listings are read in the order of an index, whatever states are asked for."""

import pytest
from bson import ObjectId

from gridhaul.storage.connect import Database, Document
from gridhaul.transfer.states import DeliveryState, FileState
from tests.contracts.ports import destination, mongo_ports, new_delivery, registered

SOME = 40
LIMIT = 5


@pytest.mark.parametrize("owner", [None, "operator"])
async def test_page_of_all_but_deleted_files_reads_no_more_than_it_shows(database: Database, owner: str | None) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    for _ in range(SOME):
        await registered(ports)
    middle = (await ports.files.page(owner=owner, states=(), limit=SOME // 2, before=None))[-1].id
    await _set_state(database, "files", {"_id": {"$gt": ObjectId(middle)}}, FileState.DELETED)
    await database.command("profile", 2)
    for before in (None, middle):
        await ports.files.page(owner=owner, states=set(FileState) - {FileState.DELETED}, limit=LIMIT, before=before)
    await _assert_read_in_order(database, "files")


@pytest.mark.parametrize("owner", [None, "operator"])
async def test_page_of_deliveries_in_several_states_reads_no_more_than_it_shows(
    database: Database, owner: str | None
) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    for number in range(SOME):
        await ports.deliveries.open(new_delivery(destination(object_name=f"{number}.h5")))
    middle = (await ports.deliveries.page(owner=owner, states=(), limit=SOME // 2, before=None))[-1]
    newest = {"created_at": {"$gt": middle.created_at}}
    await _set_state(database, "deliveries", newest, DeliveryState.CANCELLED)
    await database.command("profile", 2)
    for before in (None, middle):
        states = [DeliveryState.QUEUED, DeliveryState.FAILED, DeliveryState.DELIVERED]
        await ports.deliveries.page(owner=owner, states=states, limit=LIMIT, before=before)
    await _assert_read_in_order(database, "deliveries")


@pytest.mark.parametrize("owner", [None, "operator"])
async def test_page_of_lost_deliveries_reads_no_more_than_it_shows(database: Database, owner: str | None) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    for number in range(SOME):
        await ports.deliveries.open(new_delivery(destination(object_name=f"{number}.h5")))
    newest = await ports.deliveries.page(owner=None, states=(), limit=SOME // 2, before=None)
    lost = {"$set": {"object_error": {"code": "object_missing", "detail": "No object is under the name."}}}
    await database["deliveries"].update_many({"_id": {"$in": [ObjectId(one.id) for one in newest]}}, lost)
    await database.command("profile", 2)
    for before in (None, newest[2]):
        await ports.deliveries.page_of_lost(owner=owner, limit=LIMIT, before=before)
    await _assert_read_in_order(database, "deliveries")


async def _set_state(database: Database, collection: str, which: Document, state: str) -> None:
    await database[collection].update_many(which, {"$set": {"state": str(state)}})


async def _assert_read_in_order(database: Database, collection: str) -> None:
    found: Document = {"ns": f"{database.name}.{collection}", "op": "query"}
    plans = [plan async for plan in database["system.profile"].find(found)]
    assert len(plans) == 2
    for plan in plans:
        assert not plan.get("hasSortStage"), plan["planSummary"]
        assert plan["docsExamined"] <= LIMIT + 2, plan["planSummary"]
