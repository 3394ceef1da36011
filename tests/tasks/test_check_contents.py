"""Checks find the exact damage of stored contents, and repair exactly that."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from bson import ObjectId

from gridhaul.storage.connect import Database
from gridhaul.transfer.checks import Mode
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.errors import ChunkDoubled
from gridhaul.transfer.model import Content
from gridhaul.transfer.states import Layout
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.tasks.check_bench import CheckBench, Found, check_bench, flipped, found_in

LENGTH = 19 * MIB + 5  # 20 chunks, which a check reads in three steps
SMALL = 3 * MIB + 5


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[CheckBench]:
    async with check_bench(database, tmp_path) as bench:
        yield bench


Damage = Callable[[CheckBench, Content], Awaitable[None]]


async def _flip_two(bench: CheckBench, content: Content) -> None:
    await bench.flip(content, 3)
    await bench.flip(content, 19)


async def _delete(bench: CheckBench, content: Content) -> None:
    await bench.database["fs.chunks"].delete_one({"files_id": ObjectId(content.id), "n": 8})


async def _cut(bench: CheckBench, content: Content) -> None:
    await bench.change_chunk(content, 8, data=(await bench.chunk(content, 8))["data"][:-1])


async def _no_bytes(bench: CheckBench, content: Content) -> None:
    await bench.change_chunk(content, 8, data="not bytes")


async def _swap(bench: CheckBench, content: Content) -> None:
    one, other = await bench.chunk(content, 7), await bench.chunk(content, 9)
    await bench.change_chunk(content, 7, data=other["data"], digest=other["digest"])
    await bench.change_chunk(content, 9, data=one["data"], digest=one["digest"])


async def _swap_data(bench: CheckBench, content: Content) -> None:
    one, other = await bench.chunk(content, 7), await bench.chunk(content, 9)
    await bench.change_chunk(content, 7, data=other["data"])
    await bench.change_chunk(content, 9, data=one["data"])


async def _foreign(bench: CheckBench, content: Content) -> None:
    await bench.change_chunk(content, 7, data=b"x" * MIB, digest=chunk_digest(b"x" * MIB))


async def _double_wrong(bench: CheckBench, content: Content) -> None:
    await bench.database["fs.chunks"].drop_index("files_id_1_n_1")
    chunk = await bench.chunk(content, 5)
    double = {**chunk, "_id": ObjectId(), "data": flipped(chunk["data"])}
    await bench.database["fs.chunks"].insert_one(double)


async def _double_right(bench: CheckBench, content: Content) -> None:
    await bench.database["fs.chunks"].drop_index("files_id_1_n_1")
    await bench.database["fs.chunks"].insert_one({**await bench.chunk(content, 5), "_id": ObjectId()})


async def _extra(bench: CheckBench, content: Content) -> None:
    chunk = await bench.chunk(content, 5)
    for n in (20, -1):
        await bench.database["fs.chunks"].insert_one({**chunk, "_id": ObjectId(), "n": n})


async def _digest_field(bench: CheckBench, content: Content) -> None:
    await bench.change_chunk(content, 12, digest=b"0" * 32)


async def _no_manifest(bench: CheckBench, content: Content) -> None:
    await bench.database["manifests"].delete_many({"_id.content": ObjectId(content.id)})


async def _wrong_manifest(bench: CheckBench, content: Content) -> None:
    key = {"_id": {"content": ObjectId(content.id), "page": 0}}
    page = await bench.database["manifests"].find_one(key)
    assert page is not None
    await bench.database["manifests"].update_one(key, {"$set": {"digests": flipped(page["digests"])}})


async def _no_bucket_file(bench: CheckBench, content: Content) -> None:
    await bench.database["fs.files"].delete_one({"_id": ObjectId(content.id)})


async def _wrong_bucket_file(bench: CheckBench, content: Content) -> None:
    await bench.database["fs.files"].update_one({"_id": ObjectId(content.id)}, {"$set": {"length": 7}})


GRIDFS: list[tuple[Damage, list[tuple[str, int | None]], int]] = [
    (_flip_two, [("chunk_corrupt", 3), ("chunk_corrupt", 19)], 2),
    (_delete, [("chunk_missing", 8)], 1),
    (_cut, [("chunk_corrupt", 8)], 1),
    (_no_bytes, [("chunk_corrupt", 8)], 1),
    (_swap, [("chunk_misplaced", 7), ("chunk_misplaced", 9)], 2),
    (_swap_data, [("chunk_corrupt", 7), ("chunk_corrupt", 9)], 2),
    (_foreign, [("chunk_corrupt", 7)], 1),
    (_double_wrong, [("chunk_doubled", 5)], 0),
    (_double_right, [("chunk_doubled", 5)], 0),
    (_extra, [("chunk_extra", -1), ("chunk_extra", 20)], 0),
    (_digest_field, [("digest_field_wrong", 12)], 0),
    (_no_manifest, [("manifest_damaged", None)], 0),
    (_wrong_manifest, [("manifest_damaged", None)], 0),
    (_no_bucket_file, [("bucket_file_missing", None)], 0),
    (_wrong_bucket_file, [("bucket_file_missing", None)], 0),
]


def expected(places: list[tuple[str, int | None]], outcome: str) -> list[Found]:
    return [(code, n, outcome) for code, n in places]


@pytest.mark.parametrize(("damage", "places", "fetched"), GRIDFS, ids=[case[0].__name__ for case in GRIDFS])
async def test_damage_is_named_and_repaired(
    bench: CheckBench, damage: Damage, places: list[tuple[str, int | None]], fetched: int
) -> None:
    file, content = await bench.stored(LENGTH)
    before = await documents(bench)
    await damage(bench, content)
    damaged = await documents(bench)
    assert await bench.found() == expected(places, "found")
    assert await bench.found(mode=Mode.DRY_RUN, file_id=file.id) == expected(places, "would_repair")
    assert await documents(bench) == damaged
    assert not bench.requests.all
    check = await bench.check(mode=Mode.REPAIR, file_id=file.id)
    assert found_in(check) == expected(places, "repaired")
    assert len(bench.requests.repairs) == fetched
    in_these = [len(await data_of(bench, content, n)) for _, n in places[:fetched]]
    assert (check.source_bytes, check.sent_bytes) == (sum(in_these), sum(in_these))
    assert await documents(bench) == before
    assert await bench.read(content) == some_bytes(LENGTH)
    assert await bench.found() == []


async def documents(bench: CheckBench) -> dict[str, list[object]]:
    """Return all stored documents, without the ids of chunks and without times."""
    found: dict[str, list[object]] = {}
    for name in ("fs.chunks", "fs.files", "manifests", "inline"):
        ignored = {"_id": 0} if name == "fs.chunks" else {"uploadDate": 0}
        cursor = bench.database[name].find({}, ignored).sort([("files_id", 1), ("n", 1), ("_id", 1)])
        found[name] = [document async for document in cursor]
    return found


async def data_of(bench: CheckBench, content: Content, n: int | None) -> bytes:
    assert n is not None
    data: bytes = (await bench.chunk(content, n))["data"]
    return data


async def test_misplaced_chunk_is_said_to_belong_elsewhere(bench: CheckBench) -> None:
    _, content = await bench.stored(LENGTH)
    await _swap(bench, content)
    check = await bench.check()
    assert [finding.detail for finding in check.findings] == [
        "The data is that of chunk 9.",
        "The data is that of chunk 7.",
    ]


async def test_reading_notices_a_doubled_chunk(bench: CheckBench) -> None:
    _, content = await bench.stored(LENGTH)
    await _double_right(bench, content)
    with pytest.raises(ChunkDoubled, match="Chunk 5 "):
        await bench.read(content)


async def test_double_of_which_none_is_right_is_repaired_and_dropped(bench: CheckBench) -> None:
    _, content = await bench.stored(LENGTH)
    await _double_wrong(bench, content)
    await bench.database["fs.chunks"].update_many(
        {"files_id": ObjectId(content.id), "n": 5}, {"$set": {"data": b"neither"}}
    )
    found = await bench.found(mode=Mode.REPAIR)
    assert found == [("chunk_corrupt", 5, "repaired"), ("chunk_doubled", 5, "repaired")]
    assert await bench.found() == []


async def test_doubles_of_which_none_is_right_are_kept_while_there_is_no_source(bench: CheckBench) -> None:
    file, content = await bench.stored(LENGTH)
    await _double_wrong(bench, content)
    same = {"files_id": ObjectId(content.id), "n": 5}
    await bench.database["fs.chunks"].update_many(same, {"$set": {"data": b"neither"}})
    (bench.root / file.name).unlink()
    found = await bench.found(mode=Mode.REPAIR)
    assert found == [("chunk_corrupt", 5, "not_repaired"), ("chunk_doubled", 5, "not_repaired")]
    assert await bench.database["fs.chunks"].count_documents(same) == 2


async def _inline(bench: CheckBench, content: Content) -> dict[str, list[bytes]]:
    document = await bench.database["inline"].find_one({"_id": ObjectId(content.id)})
    assert document is not None
    return document


async def _set_inline(bench: CheckBench, content: Content, **fields: object) -> None:
    await bench.database["inline"].update_one({"_id": ObjectId(content.id)}, {"$set": fields})


async def _flip_inline(bench: CheckBench, content: Content) -> None:
    chunks = (await _inline(bench, content))["chunks"]
    await _set_inline(bench, content, chunks=[flipped(chunks[0]), chunks[1], flipped(chunks[2]), chunks[3]])


async def _cut_inline(bench: CheckBench, content: Content) -> None:
    await _set_inline(bench, content, chunks=(await _inline(bench, content))["chunks"][:2])


async def _grown_inline(bench: CheckBench, content: Content) -> None:
    await _set_inline(bench, content, chunks=[*(await _inline(bench, content))["chunks"], b"more"])


async def _remove_inline(bench: CheckBench, content: Content) -> None:
    await bench.database["inline"].delete_one({"_id": ObjectId(content.id)})


async def _digests_of_inline(bench: CheckBench, content: Content) -> None:
    digests = (await bench.database["inline"].find_one({"_id": ObjectId(content.id)}) or {})["digests"]
    await _set_inline(bench, content, digests=digests[:32] + b"0" * 32 + digests[64:])


INLINE: list[tuple[Damage, list[tuple[str, int | None]]]] = [
    (_flip_inline, [("chunk_corrupt", 0), ("chunk_corrupt", 2)]),
    (_cut_inline, [("chunk_missing", 2), ("chunk_missing", 3)]),
    (_remove_inline, [("chunk_missing", n) for n in range(4)]),
    (_grown_inline, [("chunk_extra", 4)]),
    (_digests_of_inline, [("digest_field_wrong", 1)]),
    (_no_manifest, [("manifest_damaged", None)]),
]


@pytest.mark.parametrize(("damage", "places"), INLINE, ids=[case[0].__name__ for case in INLINE])
async def test_damage_to_a_small_content_is_named_and_repaired(
    bench: CheckBench, damage: Damage, places: list[tuple[str, int | None]]
) -> None:
    _, content = await bench.stored(SMALL, inline_limit_chunks=15)
    before = await documents(bench)
    await damage(bench, content)
    assert await bench.found() == expected(places, "found")
    assert await bench.found(mode=Mode.REPAIR) == expected(places, "repaired")
    assert await documents(bench) == before
    assert await bench.found() == []


@pytest.mark.parametrize("length", [0, 1, MIB])
@pytest.mark.parametrize("limit", [0, 15])
async def test_whole_contents_give_no_finding(bench: CheckBench, length: int, limit: int) -> None:
    await bench.stored(length, inline_limit_chunks=limit)
    check = await bench.check()
    assert (check.found, check.checked_contents, check.total_contents) == (0, 1, 1)
    assert check.checked_bytes == check.total_bytes == length


def _rewritten(source: Path) -> None:
    source.write_bytes(source.read_bytes())


def _unlinked(source: Path) -> None:
    source.unlink()


@pytest.mark.parametrize(
    ("change", "reason"),
    [(_rewritten, "changed since"), (_unlinked, "no file at the path of the source")],
)
@pytest.mark.parametrize("mode", [Mode.REPAIR, Mode.DRY_RUN])
async def test_without_its_source_a_chunk_is_not_repaired(
    bench: CheckBench, change: Callable[[Path], None], reason: str, mode: Mode
) -> None:
    _, content = await bench.stored(LENGTH)
    await bench.flip(content, 3)
    change(bench.root / "run.h5")
    damaged = await documents(bench)
    check = await bench.check(mode=mode)
    assert found_in(check) == [("chunk_corrupt", 3, "not_repaired")]
    assert reason in (check.findings[0].why_not or "")
    assert await documents(bench) == damaged
    assert not bench.requests.all


async def test_lost_manifest_and_wrong_digest_beside_a_chunk_cannot_be_told_apart(bench: CheckBench) -> None:
    """Chunks are still compared with the digests beside them, but nothing is changed: the content stays unreadable."""
    _, content = await bench.stored(LENGTH)
    await _no_manifest(bench, content)
    await _digest_field(bench, content)
    await bench.flip(content, 3)
    damaged = await documents(bench)
    expected_here = [("manifest_damaged", None), ("chunk_corrupt", 3), ("chunk_corrupt", 12)]
    for mode, outcome in ((Mode.DRY_RUN, "not_repaired"), (Mode.REPAIR, "not_repaired"), (Mode.REPORT, "found")):
        assert await bench.found(mode=mode) == expected(list(expected_here), outcome)
    assert await documents(bench) == damaged
    assert not bench.requests.all


async def test_lost_manifest_and_flipped_chunk_are_both_repaired(bench: CheckBench) -> None:
    _, content = await bench.stored(LENGTH)
    before = await documents(bench)
    await _no_manifest(bench, content)
    await bench.flip(content, 3)
    found = await bench.found(mode=Mode.REPAIR)
    assert found == [("manifest_damaged", None, "repaired"), ("chunk_corrupt", 3, "repaired")]
    assert await documents(bench) == before


async def test_chunk_is_never_missing_while_it_is_repaired(bench: CheckBench) -> None:
    """A reader that looks all the time always sees exactly one chunk, the wrong or the right one."""
    file, content = await bench.stored(LENGTH)
    await bench.flip(content, 3)
    seen, over = set[int](), asyncio.Event()

    async def watch() -> None:
        while not over.is_set():
            key = {"files_id": ObjectId(content.id), "n": 3}
            seen.add(await bench.database["fs.chunks"].count_documents(key))

    watching = asyncio.create_task(watch())
    await bench.check(mode=Mode.REPAIR, file_id=file.id)
    over.set()
    await watching
    assert seen == {1}


async def test_chunk_of_the_largest_inline_content_is_repaired(bench: CheckBench) -> None:
    """The document has nearly 16 MiB, the most that a command can have, so a repair can only send one chunk."""
    _, content = await bench.stored(15 << 20, inline_limit_chunks=15)
    assert content.layout is Layout.INLINE
    chunks = (await _inline(bench, content))["chunks"]
    await _set_inline(bench, content, chunks=[*chunks[:7], flipped(chunks[7]), *chunks[8:]])
    assert await bench.found(mode=Mode.REPAIR) == [("chunk_corrupt", 7, "repaired")]
    assert await bench.read(content) == some_bytes(15 << 20)


async def test_chunks_past_a_length_that_the_manifest_contradicts_are_never_dropped(bench: CheckBench) -> None:
    """The length in the record is damaged then, and the chunks belong to the content."""
    _, content = await bench.stored(LENGTH)
    await bench.database["contents"].update_one({"_id": ObjectId(content.id)}, {"$set": {"length": 3 << 20}})
    before = await bench.database["fs.chunks"].count_documents({})
    found = await bench.found(mode=Mode.REPAIR)
    assert {outcome for code, _, outcome in found if code == "chunk_extra"} == {"not_repaired"}
    assert await bench.database["fs.chunks"].count_documents({}) == before
