"""Chunks are counted as they lie in the database, also in a damaged one, and no chunk is read for it."""

from collections.abc import Awaitable, Callable

import pytest
from bson import ObjectId
from pymongo import ASCENDING

from gridhaul.storage.connect import Database, Document
from gridhaul.storage.content.chunk_counting import BY_CELL_AT_MOST, MongoChunkCounting
from gridhaul.storage.content.contents import MongoContents
from gridhaul.storage.content.intake import MongoIntake
from gridhaul.transfer.cells import Cells
from gridhaul.transfer.model import Content
from tests.contracts.bytes_to_store import MIB, opened, sealed, segment, some_bytes, store

LENGTH = 6 * MIB + 5  # 7 chunks

Damage = Callable[[Database, Content], Awaitable[object]]


async def _counted(
    database: Database, content: Content, cells: int = 256, *, by_cell_at_most: int = BY_CELL_AT_MOST
) -> list[int]:
    of = Cells.at_most(cells, chunk_count=content.chunk_count)
    return [*await MongoChunkCounting(database, by_cell_at_most=by_cell_at_most).stored(content, of)]


async def _sealed(database: Database, *, inline_limit_chunks: int) -> Content:
    intake = MongoIntake(database, inline_limit_chunks=inline_limit_chunks)
    return await sealed(MongoContents(database), intake, some_bytes(LENGTH))


async def _delete(database: Database, content: Content) -> None:
    await database["fs.chunks"].delete_one({"files_id": ObjectId(content.id), "n": 4})


async def _misplace(database: Database, content: Content) -> None:
    for n, other in ((4, 7), (6, -1)):
        await database["fs.chunks"].update_one({"files_id": ObjectId(content.id), "n": n}, {"$set": {"n": other}})


async def _double(database: Database, content: Content) -> None:
    chunks = database["fs.chunks"]
    await chunks.drop_index([("files_id", ASCENDING), ("n", ASCENDING)])
    document = await chunks.find_one({"files_id": ObjectId(content.id), "n": 1}, {"_id": 0})
    assert document is not None
    await chunks.insert_one(document)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (_delete, [1, 1, 1, 1, 0, 1, 1]),
        (_misplace, [1, 1, 1, 1, 0, 1, 0]),
        (_double, [1] * 7),
    ],
)
async def test_cells_of_a_damaged_content_count_only_its_own_chunks(
    database: Database, damage: Damage, found: list[int]
) -> None:
    content = await _sealed(database, inline_limit_chunks=0)
    await damage(database, content)
    assert await _counted(database, content) == found


@pytest.mark.parametrize(
    ("chunks", "found"),
    [
        ([b"x", None, b"", b"x", "no bytes"], [1, 0, 0, 1, 0, 0, 0]),
        ([b"x"] * 9, [1] * 7),
        ("no list", [0] * 7),
        (None, [0] * 7),
    ],
)
async def test_only_entries_with_bytes_count_in_a_damaged_inline_document(
    database: Database, chunks: object, found: list[int]
) -> None:
    content = await _sealed(database, inline_limit_chunks=15)
    await database["inline"].update_one({"_id": ObjectId(content.id)}, {"$set": {"chunks": chunks}})
    assert await _counted(database, content) == found


async def test_lost_inline_document_has_no_chunks(database: Database) -> None:
    content = await _sealed(database, inline_limit_chunks=15)
    await database["inline"].delete_one({"_id": ObjectId(content.id)})
    assert await _counted(database, content, 2) == [0, 0]


async def test_inline_chunks_count_before_the_content_has_its_layout(database: Database) -> None:
    contents = MongoContents(database)
    content = await opened(contents, LENGTH)
    await store(MongoIntake(database, inline_limit_chunks=15), content, segment(some_bytes(LENGTH)))
    await database["contents"].update_one({"_id": ObjectId(content.id)}, {"$unset": {"layout": ""}})
    before = await contents.get(content.id)
    assert before is not None
    assert before.layout is None
    assert await _counted(database, before, 2) == [4, 3]


HALVED, AT_ONCE = 1, BY_CELL_AT_MOST


@pytest.mark.parametrize("by_cell_at_most", [HALVED, 3, AT_ONCE])
@pytest.mark.parametrize("missing", [(0,), (6,), (2, 3), (0, 2, 4, 6), (3, 4, 5, 6), tuple(range(6)), tuple(range(7))])
async def test_counts_are_the_same_however_many_chunks_are_counted_at_once(
    database: Database, by_cell_at_most: int, missing: tuple[int, ...]
) -> None:
    content = await _sealed(database, inline_limit_chunks=0)
    await database["fs.chunks"].delete_many({"files_id": ObjectId(content.id), "n": {"$in": missing}})
    held = [int(n not in missing) for n in range(7)]
    for cells in (1, 2, 3, 7):
        step = -(-7 // cells)
        counted = await _counted(database, content, cells, by_cell_at_most=by_cell_at_most)
        assert counted == [sum(held[first : first + step]) for first in range(0, 7, step)], cells


async def test_only_rows_of_cells_with_a_gap_are_halved(database: Database) -> None:
    content = await _sealed(database, inline_limit_chunks=0)
    await _delete(database, content)
    await database.command("profile", 2)
    assert await _counted(database, content, by_cell_at_most=HALVED) == [1, 1, 1, 1, 0, 1, 1]
    looks = {"ns": f"{database.name}.fs.chunks", "command.aggregate": "fs.chunks"}
    plans = await database["system.profile"].find(looks).to_list()
    numbers = [plan["command"]["pipeline"][0]["$match"]["n"] for plan in plans]
    twice = (0, 7)  # the second time after the primary has caught up
    assert [(n["$gte"], n["$lt"]) for n in numbers] == [twice, twice, (0, 3), (3, 5), (3, 4)]


@pytest.mark.parametrize("damage", [None, _delete])
async def test_no_chunk_is_read(database: Database, damage: Damage | None) -> None:
    content = await _sealed(database, inline_limit_chunks=0)
    await _sealed(database, inline_limit_chunks=0)
    if damage is not None:
        await damage(database, content)
    await database.command("profile", 2)
    assert sum(await _counted(database, content, 3)) == (7 if damage is None else 6)
    looks: Document = {"ns": f"{database.name}.fs.chunks", "command.aggregate": "fs.chunks"}
    plans = await database["system.profile"].find(looks).to_list()
    assert len(plans) == (1 if damage is None else 3)
    for plan in plans:
        assert plan["docsExamined"] == 0, plan["planSummary"]
        assert plan["keysExamined"] <= content.chunk_count + 1, plan["planSummary"]
        assert plan["command"]["maxTimeMS"] > 0
