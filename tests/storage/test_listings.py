"""Pages of lists are read in the order of an index, and no record is read that the page does not show."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from gridhaul.storage.connect import Database, Document
from gridhaul.transfer.errors import NotCombinable
from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.states import DeliveryState, FileState
from tests.contracts.ports import Ports, destination, mongo_ports, new_delivery, new_file, registered

RECORDS = 3000
AT_ONCE = 1000  # records with the same time, as a batch registers them
RARE = 30  # records in each of the rare states, spread over all records
LIMIT = 5
MOST_READ = LIMIT + 2
OWNER = "operator"
BATCH = RecordId("b" * 24)
FILE_STATES = [FileState.FAILED, FileState.PAUSED]
DELIVERY_STATES = [DeliveryState.FAILED, DeliveryState.PAUSED]


def selections(states: list[Any], all_states: type[FileState | DeliveryState]) -> list[Selection]:
    """Return every kind of list that files and deliveries have, of one owner and of all."""
    of_one = [Selection(target="mirror"), Selection(name_prefix="run-01"), Selection(name_prefix="")]
    of_all = [Selection(), Selection(owner=OWNER)]
    alone = [*(replace(one, owner=OWNER) for one in of_one), *of_all, Selection(batch_id=BATCH)]
    narrowed = [replace(one, states=some) for one in alone for some in (states, list(all_states)[1:])]
    return [*alone, *narrowed]


async def test_page_of_files_reads_no_more_than_it_shows(database: Database) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    await _make_files(ports, database)
    by_name = [Selection(batch_id=BATCH, name_prefix=prefix) for prefix in ("", "run-01")]
    for selection in [*selections(FILE_STATES, FileState), *by_name]:
        await _assert_read_in_order(database, "files", selection, ports.files.page)


async def test_page_of_deliveries_reads_no_more_than_it_shows(database: Database) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    await _make_deliveries(ports, database)
    for selection in selections(DELIVERY_STATES, DeliveryState):
        await _assert_read_in_order(database, "deliveries", selection, ports.deliveries.page)


@pytest.mark.parametrize("kind", ["files", "deliveries"])
@pytest.mark.parametrize("owner", [None, OWNER])
async def test_page_between_two_times_reads_no_more_than_it_shows(
    database: Database, kind: str, owner: str | None
) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    await (_make_files if kind == "files" else _make_deliveries)(ports, database)
    page = ports.files.page if kind == "files" else ports.deliveries.page
    middle = (await page(Selection(), limit=RECORDS // 2, after=None))[-1].created_at
    for selection in (Selection(owner=owner, created_after=middle), Selection(owner=owner, created_before=middle)):
        await _assert_read_in_order(database, kind, selection, page)


@pytest.mark.parametrize("owner", [None, OWNER])
async def test_page_of_lost_deliveries_reads_no_more_than_it_shows(database: Database, owner: str | None) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    await _make_deliveries(ports, database, owners=(OWNER,))
    newest = await ports.deliveries.page(Selection(), limit=RARE, after=None)
    lost = {"$set": {"object_error": {"code": "object_missing", "detail": "No object is under the name."}}}
    await database["deliveries"].update_many({"_id": {"$in": [ObjectId(one.id) for one in newest]}}, lost)
    await database.command("profile", 2)
    for after in (None, newest[2]):
        assert len(await ports.deliveries.page_of_lost(owner=owner, limit=LIMIT, after=after)) == LIMIT
        await _assert_last_read(database, "deliveries", "lost")


@pytest.mark.parametrize("owner", [None, OWNER])
async def test_page_of_path_lists_reads_no_more_than_it_shows(database: Database, owner: str | None) -> None:
    lists = mongo_ports(database, lease_seconds=60).lists
    values = {"format": "paths", "length": 6, "entries": 1, "relative": 0, "pages": 1, "created_at": datetime.now(UTC)}
    names = (OWNER, "another")
    await database["lists"].insert_many([{**values, "owner": names[n % 2]} for n in range(RECORDS)])
    await database.command("profile", 2)
    before = None
    for _ in range(2):
        shown = await lists.newest(owner=owner, limit=LIMIT, before=before)
        assert len(shown) == LIMIT
        await _assert_last_read(database, "lists", owner)
        before = shown[-1].id


async def test_batch_of_another_owner_is_not_read(database: Database) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    await _make_files(ports, database)
    await database.command("profile", 2)
    assert not await ports.files.page(Selection(owner="nobody", batch_id=BATCH), limit=LIMIT, after=None)
    await _assert_last_read(database, "files", "another's batch")


async def test_list_without_an_index_is_refused(database: Database) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    by_name = Selection(batch_id=BATCH, name_prefix="a")
    with pytest.raises(NotCombinable):
        await ports.deliveries.page(by_name, limit=1, after=None)
    with pytest.raises(NotCombinable):
        await ports.files.page(replace(by_name, states=FILE_STATES), limit=1, after=None)


async def _assert_read_in_order(
    database: Database, kind: str, selection: Selection, page: Callable[..., Awaitable[Any]]
) -> None:
    """Read two pages of the list; assert that an index served both in the order of the list."""
    await database.command("profile", 2)
    after = None
    for _ in range(2):
        shown = await page(selection, limit=LIMIT, after=after)
        assert len(shown) == LIMIT, selection
        await _assert_last_read(database, kind, selection)
        after = shown[-1]


async def _assert_last_read(database: Database, kind: str, listed: object) -> None:
    """Assert that the queries since profiling began read no more than a page; begin profiling anew."""
    found: Document = {"ns": f"{database.name}.{kind}", "op": "query"}
    plans = await database["system.profile"].find(found).to_list()
    assert plans
    for plan in plans:
        assert "IXSCAN" in plan["planSummary"], listed
        assert not plan.get("hasSortStage"), (listed, plan["planSummary"])
    assert sum(plan["docsExamined"] for plan in plans) <= MOST_READ, listed
    assert sum(plan["keysExamined"] for plan in plans) <= MOST_READ + len(plans) * 2 * len(FileState), listed
    await database.command("profile", 0)
    await database["system.profile"].drop()
    await database.command("profile", 2)


async def _make_files(ports: Ports, database: Database) -> None:
    model = await registered(ports, new_file(deliver_to=[destination("archive"), destination("mirror")]))
    await _multiply(database, "files", model.id, {"state": FILE_STATES}, ("name", "path"), (OWNER, "another"))


async def _make_deliveries(ports: Ports, database: Database, *, owners: tuple[str, ...] = (OWNER, "another")) -> None:
    model, _ = await ports.deliveries.open(new_delivery(destination("mirror")))
    await _multiply(database, "deliveries", model.id, {"state": DELIVERY_STATES}, ("object_name",), owners)


async def _multiply(
    database: Database,
    kind: str,
    model_id: RecordId,
    rare: dict[str, list[Any]],
    names: tuple[str, ...],
    owners: tuple[str, ...],
) -> None:
    """Insert as many records as RECORDS like the model: of two owners in turn, one of them in a batch."""
    model = await database[kind].find_one_and_delete({"_id": ObjectId(model_id)})
    assert model is not None
    documents = []
    for number in range(RECORDS):
        owner = owners[number % len(owners)]
        at = model["created_at"] + timedelta(milliseconds=number // AT_ONCE)
        one = {**model, "_id": ObjectId(), "owner": owner, "created_at": at}
        one |= dict.fromkeys(names, f"run-{number:05}")
        if number % (RECORDS // RARE) < 2:
            one["state"] = str(rare["state"][number // 2 % 2])
        if owner == OWNER:
            one["batch_id"] = ObjectId(BATCH)
        documents.append(one)
    await database[kind].insert_many(documents)
