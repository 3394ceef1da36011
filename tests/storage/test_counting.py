"""Counting reads an index alone, and an index that was replaced by another goes away."""

from dataclasses import replace

import pytest

from gridhaul.storage.connect import Database, Document
from gridhaul.storage.schema import FORMER_INDEXES, make_registry_indexes
from tests.contracts.ports import Ports, destination, mongo_ports, new_delivery, new_file, registered

RECORDS = 40


@pytest.fixture
async def ports(database: Database) -> Ports:
    ports = mongo_ports(database, lease_seconds=60)
    for number in range(RECORDS):
        owner = ("operator", "another")[number % 2]
        await registered(ports, replace(new_file(), owner=owner))
        new = new_delivery(destination(object_name=str(number)))
        await ports.deliveries.open(replace(new, owner=owner))
    return ports


async def test_counts_of_an_account_read_no_record(database: Database, ports: Ports) -> None:
    await database.command("profile", 2)
    counts = await ports.account_counting.of_account("operator")
    assert [sum(group.count for group in one.values()) for one in (counts.files, counts.deliveries)] == [20, 20]
    for kind in ("files", "deliveries"):
        found: Document = {"ns": f"{database.name}.{kind}", "command.aggregate": kind}
        (plan,) = await database["system.profile"].find(found).to_list()
        assert plan["docsExamined"] == 0, plan["planSummary"]
        assert plan["keysExamined"] <= RECORDS // 2 + 1, plan["planSummary"]
        assert plan["command"]["maxTimeMS"] > 0


async def test_counts_by_media_type_read_no_record(database: Database, ports: Ports) -> None:
    await database.command("profile", 2)
    counts = await ports.account_counting.types_of_account("operator")
    assert [group.count for group in counts.largest.values()] == [RECORDS // 2]
    (plan,) = await database["system.profile"].find({"command.aggregate": "files"}).to_list()
    assert plan["docsExamined"] == 0, plan["planSummary"]
    assert plan["keysExamined"] <= RECORDS // 2 + 1, plan["planSummary"]
    assert plan["command"]["maxTimeMS"] > 0


async def test_former_index_is_removed_and_all_others_stay(database: Database) -> None:
    before = await database["files"].index_information()
    (name,) = FORMER_INDEXES["files"]
    former = [("owner", 1), ("_id", -1), ("length", 1), ("state", 1)]
    assert await database["files"].create_index(former) == name
    for _ in range(2):
        await make_registry_indexes(database)
        assert await database["files"].index_information() == before
