"""A check runs in slices: it goes on where it stopped, keeps its rate, can be cancelled, and doubles no finding."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bson import ObjectId

from gridhaul.chunk_service_client.chunk_client import ChunkClient
from gridhaul.source.opened import Source
from gridhaul.source.roots import Roots
from gridhaul.storage.connect import Database
from gridhaul.transfer.checks import CANCEL_CHECK, FINDINGS_KEPT, CheckKind, CheckState, Mode
from gridhaul.transfer.errors import ChunkServiceUnavailable, DatabaseUnavailable
from gridhaul.transfer.findings import Finding, FindingCode, Outcome
from gridhaul.transfer.model import Hint, Queue, TaskName
from tasks import run_check
from tasks.attempt import Meter
from tasks.checking.contents import ContentsExaminer
from tasks.checking.tally import Tally
from tasks.run_check import check_some
from tests.contracts.bytes_to_store import MIB
from tests.tasks.check_bench import CheckBench, check_bench, found_in

LENGTH = 40 * MIB
DAMAGED = (0, 7, 8, 23, 39)


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[CheckBench]:
    async with check_bench(database, tmp_path) as bench:
        yield bench


@pytest.fixture
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each slice one step long."""
    monkeypatch.setattr(run_check, "SLICE_SECONDS", 0.0)


async def test_check_goes_on_slice_by_slice_and_hints_itself(bench: CheckBench, short_slices: None) -> None:
    file, content = await bench.stored(LENGTH)
    for n in DAMAGED:
        await bench.flip(content, n)
    check = await bench.check(file_id=file.id)
    assert found_in(check) == [("chunk_corrupt", n, "found") for n in DAMAGED]
    assert (check.checked_bytes, check.checked_contents) == (LENGTH, 1)
    assert check.attempts > 5
    hint = Hint(task=TaskName.RUN_CHECK, record_id=check.id, queue=Queue.MAINTENANCE)
    assert bench.hints == [hint] * (check.attempts - 1)


async def test_check_of_everything_visits_every_content_once(bench: CheckBench, short_slices: None) -> None:
    for number in range(5):
        await bench.stored(MIB * (number * 7), inline_limit_chunks=15 * (number % 2), name=f"{number}")
    check = await bench.check()
    total = sum(MIB * number * 7 for number in range(5))
    assert (check.found, check.checked_contents, check.total_contents) == (0, 5, 5)
    assert check.checked_bytes == check.total_bytes == total


async def test_content_deleted_between_two_slices_is_passed_over(bench: CheckBench, short_slices: None) -> None:
    stored = [await bench.stored(17 * MIB, name=name) for name in ("one", "other")]
    file_of = {content.id: file for file, content in stored}
    check = await bench.start(CheckKind.SCRUB)
    while (now := await bench.now(check)).checked_bytes < 16 * MIB:
        await check_some(bench.runtime, check.id)
    assert now.cursor is not None
    assert now.cursor.at is not None
    await bench.runtime.contents.drop_ref(now.cursor.at, file_of[now.cursor.at].id)
    while (await bench.now(check)).state is not CheckState.DONE:
        await check_some(bench.runtime, check.id)
    done = await bench.now(check)
    assert (done.found, done.checked_contents, done.checked_bytes) == (0, 2, 33 * MIB)


async def test_step_that_was_cut_short_is_repeated_without_doubling_findings(
    bench: CheckBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database fails after the step has findings; repairs stay counted, and are not sent again."""
    _, content = await bench.stored(LENGTH)
    for n in DAMAGED:
        await bench.flip(content, n)
    once, broken = ContentsExaminer._chunks, list[int]()

    async def break_off(self: ContentsExaminer, content: object, first: int) -> None:
        await once(self, content, first)  # type: ignore[arg-type]
        if first == 0 and not broken:
            broken.append(first)
            raise DatabaseUnavailable("The database does not answer.", retry_after_seconds=0)

    monkeypatch.setattr(ContentsExaminer, "_chunks", break_off)
    monkeypatch.setattr("gridhaul.transfer.retry.BASE_SECONDS", 0.0)
    check = await bench.check(mode=Mode.REPAIR)
    assert broken
    assert found_in(check) == [("chunk_corrupt", n, "repaired") for n in DAMAGED]
    assert len(bench.requests.repairs) == len(DAMAGED)
    assert (check.repaired, check.sent_bytes) == (len(DAMAGED), len(DAMAGED) * MIB)


async def test_findings_beyond_what_is_kept_are_counted(bench: CheckBench) -> None:
    orphans = [ObjectId.from_datetime(_long_ago())]
    orphans += [ObjectId(orphans[0].binary[:4] + number.to_bytes(8, "big")) for number in range(FINDINGS_KEPT + 5)]
    chunks = [{"files_id": one, "n": 0, "data": b"x", "digest": b"0" * 32} for one in set(orphans)]
    await bench.database["fs.chunks"].insert_many(chunks)
    check = await bench.check(CheckKind.GC, Mode.REPAIR)
    assert (len(check.findings), check.found, check.repaired) == (FINDINGS_KEPT, len(chunks), len(chunks))
    assert await bench.database["fs.chunks"].count_documents({}) == 0


async def test_step_of_many_findings_that_is_repeated_doubles_none(bench: CheckBench) -> None:
    check = await bench.start()
    findings = [Finding(code=FindingCode.CHUNK_EXTRA, detail="", n=n) for n in range(200)]
    first = Tally(check)
    for finding in findings:
        first.found(finding)
    again = Tally(replace(check, **first.fields(Meter(0, first.fields))))
    for finding in findings:
        again.found(replace(finding, outcome=Outcome.REPAIRED))
    fields = again.fields(Meter(0, again.fields))
    assert (fields["found"], fields["repaired"], len(fields["findings"])) == (200, 200, 200)


def _long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)


async def test_rate_is_kept(bench: CheckBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_check, "PACED_SECONDS", 0.3)
    await bench.stored(LENGTH)
    began = time.monotonic()
    check = await bench.start(CheckKind.SCRUB, bytes_per_second=20 * MIB)
    while (await bench.now(check)).state is not CheckState.DONE:
        await check_some(bench.runtime, check.id)
        await asyncio.sleep(0.01)
    last_slice = 8 * MIB
    assert time.monotonic() - began >= (LENGTH - last_slice) / (20 * MIB)
    assert (await bench.now(check)).checked_bytes == LENGTH


async def test_cancelled_check_stops_and_keeps_what_it_found(bench: CheckBench, short_slices: None) -> None:
    _, content = await bench.stored(LENGTH)
    await bench.flip(content, 0)
    check = await bench.start()
    while not (await bench.now(check)).found:
        await check_some(bench.runtime, check.id)
    await bench.checks.move(check.id, CANCEL_CHECK)
    before = await bench.now(check)
    await check_some(bench.runtime, check.id)
    assert await bench.now(check) == before
    assert (before.state, before.found) == (CheckState.CANCELLED, 1)
    again = await bench.start()
    assert again.id != check.id


async def test_the_same_check_is_open_once(bench: CheckBench) -> None:
    checks = bench.checks
    first = await bench.start(mode=Mode.REPAIR)
    assert (await bench.start(mode=Mode.REPAIR)).id == first.id
    assert (await bench.start()).id != first.id
    opened = await asyncio.gather(*(bench.start(CheckKind.GC, Mode.REPAIR) for _ in range(10)))
    assert len({one.id for one in opened}) == 1
    await check_some(bench.runtime, first.id)
    assert (await bench.now(first)).state is CheckState.DONE
    assert (await bench.start(mode=Mode.REPAIR)).id != first.id
    newest, *_ = await checks.page(limit=10, before=None)
    assert newest.mode is Mode.REPAIR


async def test_chunk_service_that_does_not_answer_leaves_the_chunk_unrepaired(
    bench: CheckBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ChunkServiceUnavailable("The chunk service does not answer.")

    monkeypatch.setattr(ChunkClient, "repair", fail)
    _, content = await bench.stored(LENGTH)
    await bench.flip(content, 3)
    check = await bench.check(mode=Mode.REPAIR)
    assert found_in(check) == [("chunk_corrupt", 3, "not_repaired")]
    assert check.findings[0].why_not == "The chunk service does not answer."
    assert (check.source_bytes, check.sent_bytes) == (MIB, 0)


async def test_source_with_other_bytes_behind_the_same_face_is_not_believed(bench: CheckBench) -> None:
    """The source was overwritten, but its identity is as registered: only the manifest shows the difference."""
    file, content = await bench.stored(LENGTH)
    await bench.flip(content, 3)
    damaged = (await bench.chunk(content, 3))["data"]
    _overwrite(bench.root / file.name)
    source = await Source.open(file.source.path, Roots.any_of((bench.root,)))
    identity = source.identity()
    source.close()
    same_face = replace(identity, ctime_ns=file.source.identity.ctime_ns)
    fields = {name: getattr(same_face, name) for name in ("size", "mtime_ns", "inode", "device", "ctime_ns")}
    await bench.database["files"].update_one({"_id": ObjectId(file.id)}, {"$set": {"identity": fields}})
    check = await bench.check(mode=Mode.REPAIR)
    assert found_in(check) == [("chunk_corrupt", 3, "not_repaired")]
    assert not bench.requests.repairs
    assert (await bench.chunk(content, 3))["data"] == damaged


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(3 * MIB + 5)
        file.write(b"other")
