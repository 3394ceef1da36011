"""The counts of an account's deliveries by target read an index alone, and each last delivery is one record."""

from dataclasses import replace

import pytest

from gridhaul.storage.connect import Database, Document
from gridhaul.transfer.states import DeliveryState
from tests.contracts.ports import Ports, destination, mongo_ports, new_delivery

RECORDS = 60
ERROR = {"code": "target_unavailable", "detail": "The target did not answer."}


@pytest.fixture
async def ports(database: Database) -> Ports:
    """Make deliveries of two owners: of each, one is DELIVERED, one waits after an error, and the others just wait."""
    ports = mongo_ports(database, lease_seconds=60)
    for number in range(RECORDS):
        new = new_delivery(destination(object_name=str(number)))
        await ports.deliveries.open(replace(new, owner=("operator", "another")[number % 2]))
    deliveries = database["deliveries"]
    await deliveries.update_many({"object_name": {"$in": ["0", "1"]}}, {"$set": {"state": "DELIVERED"}})
    await deliveries.update_many({"object_name": {"$in": ["2", "3"]}}, {"$set": {"error": ERROR}})
    return ports


async def test_activity_of_an_account_reads_no_record_but_the_last_ones(database: Database, ports: Ports) -> None:
    await database.command("profile", 2)
    found = (await ports.activity_counting.of_account("operator")).targets["archive"]
    assert (found.count(DeliveryState.QUEUED), found.count(DeliveryState.DELIVERED)) == (RECORDS // 2 - 1, 1)
    assert found.last_delivered is not None
    assert found.last_error is not None
    assert (found.last_delivered.object_name, found.last_error.object_name) == ("0", "2")
    counted, *looked = await _profiled(database)
    assert (counted["op"], counted["docsExamined"]) == ("command", 0), counted["planSummary"]
    assert counted["keysExamined"] <= RECORDS // 2 + 1, counted["planSummary"]
    assert [one["op"] for one in looked] == ["query", "query"]
    for one in looked:
        assert max(one["docsExamined"], one["keysExamined"]) == 1, one["planSummary"]
        assert not one.get("hasSortStage"), one["planSummary"]
    assert all(one["command"]["maxTimeMS"] > 0 for one in (counted, *looked))


async def _profiled(database: Database) -> list[Document]:
    """Return the profiles of the reads of deliveries, in their order."""
    return await database["system.profile"].find({"ns": f"{database.name}.deliveries"}).sort("ts", 1).to_list()
