"""Lists of checks are read in the order of an index, and no check is read that is not shown."""

from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from gridhaul.storage.checking.checks import MongoChecks
from gridhaul.storage.connect import Database
from gridhaul.transfer.checks import CheckKind, Mode, NewCheck
from gridhaul.transfer.model import RecordId

CHECKS = 120
LIMIT = 5
A_FILE, A_CONTENT = RecordId("a" * 24), RecordId("c" * 24)
FSCK = NewCheck(kind=CheckKind.FSCK, mode=Mode.REPORT)


@pytest.fixture
async def checks(database: Database) -> MongoChecks:
    """Return many checks. Every third is a gc, every third is of the file, and one in ten has found something."""
    checks = MongoChecks(database, lease_seconds=60)
    orders = (NewCheck(kind=CheckKind.GC, mode=Mode.REPAIR), FSCK, replace(FSCK, file_id=A_FILE))
    for number in range(CHECKS):
        check, _ = await checks.open(orders[number % 3])
        over: dict[str, Any] = {"$set": {"state": "DONE"}, "$unset": {"open_key": ""}}
        if number % 10 == 0:
            over["$set"]["findings"] = [{"code": "chunk_missing", "detail": "d", "content_id": ObjectId(A_CONTENT)}] * 2
        await database["checks"].update_one({"_id": ObjectId(check.id)}, over)
    await database.command("profile", 2)
    return checks


async def _last_look(database: Database) -> dict[str, Any]:
    wanted = {"ns": f"{database.name}.checks", "op": "query"}
    plan = await database["system.profile"].find_one(wanted, sort=[("$natural", -1)])
    assert plan is not None
    return plan


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"kind": CheckKind.GC},
        {"kind": CheckKind.FSCK},
        {"file_id": A_FILE},
        {"file_id": A_FILE, "kind": CheckKind.FSCK},
    ],
)
async def test_page_reads_no_more_than_it_shows(
    database: Database, checks: MongoChecks, wanted: dict[str, Any]
) -> None:
    first = await checks.page(limit=LIMIT, before=None, **wanted)
    following = await checks.page(limit=LIMIT, before=first[-1].id, **wanted)
    assert len({check.id for check in (*first, *following)}) == 2 * LIMIT
    plan = await _last_look(database)
    assert plan["docsExamined"] <= LIMIT + 1, plan["planSummary"]
    assert not plan.get("hasSortStage"), plan["planSummary"]


async def test_newest_check_about_a_content_is_found_by_indexes(database: Database, checks: MongoChecks) -> None:
    found = await checks.newest_about(file_id=A_FILE, content_id=A_CONTENT, sealed_at=None)
    assert found == (await checks.page(limit=1, before=None, file_id=A_FILE))[0]
    plan = await _last_look(database)
    assert plan["docsExamined"] <= 2, plan["planSummary"]
    unknown = await checks.newest_about(file_id=RecordId("d" * 24), content_id=A_CONTENT, sealed_at=None)
    assert unknown is not None
    assert len(unknown.findings) == 2
    assert (await _last_look(database))["docsExamined"] <= 2
