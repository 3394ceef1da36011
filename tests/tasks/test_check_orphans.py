"""Checks find and remove stored bytes that belong to no content, and spare bytes that are young or in use."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from gridhaul.storage.connect import Database
from gridhaul.storage.content.content_ids import new_content_id
from gridhaul.storage.content.intake import MongoIntake
from gridhaul.transfer.checks import CheckKind, Mode
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.states import STORABLE, ContentState, FileState
from tests.contracts.bytes_to_store import MIB, segment, some_bytes
from tests.contracts.content_ids import content_id_of
from tests.contracts.ports import new_file
from tests.tasks.check_bench import SWEEP_SECONDS, CheckBench, check_bench

LONG_AGO = timedelta(seconds=SWEEP_SECONDS * 3)


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[CheckBench]:
    async with check_bench(database, tmp_path) as bench:
        yield bench


def id_of_long_ago() -> ObjectId:
    """Return the id of a content that was made before the oldest request that may still be under way."""
    return content_id_of(datetime.now(UTC) - LONG_AGO)


def mongodbs_id_of_long_ago() -> ObjectId:
    """Return an id as MongoDB makes them, of the same time; contents had such ids before they had random ones."""
    earlier = ObjectId.from_datetime(datetime.now(UTC) - LONG_AGO)
    return ObjectId(earlier.binary[:4] + ObjectId().binary[4:8] + b"\xff\xff\xff\xff")


async def leave_all(bench: CheckBench, content_id: ObjectId) -> None:
    """Insert every kind of document that a content can leave behind."""
    chunks = [{"files_id": content_id, "n": n, "data": b"x", "digest": b"0" * 32} for n in range(600)]
    await bench.database["fs.chunks"].insert_many(chunks)
    await bench.database["inline"].insert_one({"_id": content_id, "digests": b"", "chunks": []})
    pages = [{"_id": {"content": content_id, "page": page}, "digests": b""} for page in range(3)]
    await bench.database["manifests"].insert_many(pages)
    await bench.database["fs.files"].insert_one({"_id": content_id, "metadata": {"manifestRoot": "0" * 64}})


async def left_of(bench: CheckBench, content_id: ObjectId) -> int:
    keys = {"fs.chunks": "files_id", "inline": "_id", "manifests": "_id.content", "fs.files": "_id"}
    counts = [await bench.database[name].count_documents({key: content_id}) for name, key in keys.items()]
    return sum(counts)


ORPHANED = ["chunks_orphaned", "inline_orphaned", "manifest_orphaned", "bucket_file_orphaned"]


async def codes(bench: CheckBench, kind: CheckKind, mode: Mode) -> list[tuple[str, str]]:
    check = await bench.check(kind, mode)
    return [(finding.code.value, finding.outcome.value) for finding in check.findings]


@pytest.mark.parametrize("make_id", [id_of_long_ago, mongodbs_id_of_long_ago])
async def test_orphans_are_named_and_removed_and_nothing_else(
    bench: CheckBench, make_id: Callable[[], ObjectId]
) -> None:
    _, content = await bench.stored(20 * MIB)
    _, small = await bench.stored(3 * MIB, inline_limit_chunks=15, name="small")
    orphan = make_id()
    await leave_all(bench, orphan)
    assert await codes(bench, CheckKind.FSCK, Mode.REPORT) == [(code, "found") for code in ORPHANED]
    assert await codes(bench, CheckKind.GC, Mode.DRY_RUN) == [(code, "would_repair") for code in ORPHANED]
    assert await left_of(bench, orphan) == 605
    assert await codes(bench, CheckKind.GC, Mode.REPAIR) == [(code, "repaired") for code in ORPHANED]
    assert await left_of(bench, orphan) == 0
    assert await codes(bench, CheckKind.FSCK, Mode.REPORT) == []
    assert await bench.read(content) == some_bytes(20 * MIB)
    assert await bench.read(small) == some_bytes(3 * MIB)


async def test_many_orphans_are_found_among_many_contents(bench: CheckBench) -> None:
    """Each stage takes more than one step."""
    orphans = {id_of_long_ago() for _ in range(250)}
    chunks = [{"files_id": one, "n": 0, "data": b"x", "digest": b"0" * 32} for one in orphans]
    await bench.database["fs.chunks"].insert_many(chunks)
    kept = [id_of_long_ago() for _ in range(250)]
    await bench.database["fs.chunks"].insert_many([{**chunks[0], "_id": ObjectId(), "files_id": one} for one in kept])
    await bench.database["contents"].insert_many([{"_id": one, "state": "DELETING"} for one in kept])
    check = await bench.check(CheckKind.GC, Mode.REPAIR)
    assert {ObjectId(finding.content_id) for finding in check.findings} == orphans
    assert set(await bench.database["fs.chunks"].distinct("files_id")) == set(kept)


async def test_what_is_young_is_left_alone(bench: CheckBench) -> None:
    young = ObjectId(new_content_id())
    await leave_all(bench, young)
    assert await codes(bench, CheckKind.GC, Mode.REPAIR) == []
    assert await left_of(bench, young) == 605


async def test_what_a_file_refers_to_is_left_alone_even_without_its_record(bench: CheckBench) -> None:
    lost = id_of_long_ago()
    await leave_all(bench, lost)
    file, _ = await bench.files.register(new_file())
    await bench.database["files"].update_one({"_id": ObjectId(file.id)}, {"$set": {"content_id": lost}})
    assert await codes(bench, CheckKind.GC, Mode.REPAIR) == []
    assert await left_of(bench, lost) == 605


async def test_files_of_other_users_of_the_bucket_are_left_alone(bench: CheckBench) -> None:
    foreign = id_of_long_ago()
    await bench.database["fs.chunks"].insert_one({"files_id": foreign, "n": 0, "data": b"theirs"})
    await bench.database["fs.chunks"].insert_one({"files_id": "named", "n": 0, "data": b"theirs"})
    await bench.database["fs.files"].insert_one({"_id": foreign, "length": 6, "filename": "theirs"})
    assert await codes(bench, CheckKind.GC, Mode.REPAIR) == []
    assert await bench.database["fs.chunks"].count_documents({}) == 2


async def _open_content(bench: CheckBench, content_id: RecordId) -> None:
    """Make a file that is being stored, and store some of its chunks."""
    file, _ = await bench.files.register(new_file(length=20 * MIB))
    taken = await bench.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert taken is not None
    await bench.files.renew(taken.lease, content_id=content_id)
    await bench.runtime.contents.open(
        content_id, file_id=file.id, filename="f", content_type="a/b", length=20 * MIB, fence=taken.fence
    )
    part = segment(some_bytes(20 * MIB))
    intake = MongoIntake(bench.database, inline_limit_chunks=0)
    await intake.store(content_id, fence=taken.fence, first=0, chunks=part.chunks, digests=part.digests)


async def test_active_upload_is_left_alone(bench: CheckBench) -> None:
    content_id = RecordId(str(id_of_long_ago()))
    await _open_content(bench, content_id)
    await age(bench, content_id)
    assert await codes(bench, CheckKind.GC, Mode.REPAIR) == []
    assert await left_of(bench, ObjectId(content_id)) == 16


async def age(bench: CheckBench, content_id: RecordId) -> None:
    earlier = datetime.now(UTC) - LONG_AGO
    await bench.database["contents"].update_one({"_id": ObjectId(content_id)}, {"$set": {"created_at": earlier}})


@pytest.mark.parametrize("file_is", ["gone", "DELETED", "of another content"])
async def test_content_that_no_file_refers_to_is_given_up_and_swept(bench: CheckBench, file_is: str) -> None:
    """A worker that was stopped for minutes may make the content anew, after it was deleted and swept."""
    content_id = RecordId(str(id_of_long_ago()))
    await _open_content(bench, content_id)
    if file_is == "gone":
        await bench.database["files"].delete_many({})
    elif file_is == "DELETED":
        await bench.database["files"].update_many({}, {"$set": {"state": "DELETED"}})
    else:
        await bench.database["files"].update_many({}, {"$set": {"content_id": ObjectId()}})
    assert await codes(bench, CheckKind.GC, Mode.REPAIR) == []  # the content is young
    await age(bench, content_id)
    assert await codes(bench, CheckKind.GC, Mode.DRY_RUN) == [("content_unreferenced", "would_repair")]
    assert await codes(bench, CheckKind.GC, Mode.REPAIR) == [("content_unreferenced", "repaired")]
    content = await bench.runtime.contents.get(content_id)
    assert content is not None
    assert content.state is ContentState.DELETING
    assert await left_of(bench, ObjectId(content_id)) == 0
    await make_due(bench, content_id)
    await bench.runtime.contents.sweep(content_id)
    assert await bench.runtime.contents.get(content_id) is None


async def make_due(bench: CheckBench, content_id: RecordId) -> None:
    earlier: dict[str, Any] = {"next_attempt_at": datetime.now(UTC) - LONG_AGO}
    changed = await bench.database["contents"].update_one({"_id": ObjectId(content_id)}, {"$set": earlier})
    assert changed.matched_count == 1
