"""Sources that change before, while and between the attempts to store them."""

import asyncio
import errno
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from gridhaul.source import beneath, stability
from gridhaul.source.opened import identify
from gridhaul.source.reader import SourceReader
from gridhaul.source.roots import Roots
from gridhaul.source.stability import registered_anew
from gridhaul.transfer.access import NewAccount
from gridhaul.transfer.errors import LeaseLost
from gridhaul.transfer.model import (
    Content,
    File,
    Lease,
    RecordId,
    Segment,
)
from gridhaul.transfer.origins import IfChanged
from gridhaul.transfer.states import FILE_MOVES, STORABLE, Action, ContentState, FileState
from tasks import attempt
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import eventually
from tests.tasks.storing_bench import (
    LENGTH,
    MAX_ATTEMPTS,
    Bench,
    Change,
    append,
    make_bench,
    replace_by_rename,
    rewrite,
    rewrite_mapped,
    touch_all_ways,
)

DATA = some_bytes(LENGTH)
OTHER = some_bytes(LENGTH + 1)[:LENGTH]


@pytest.fixture
def bench(tmp_path: Path, at_once: None, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(attempt, "TICK_SECONDS", 0.002)
    return make_bench(tmp_path)


def outcome(file: File) -> tuple[FileState, str | None]:
    return file.state, file.error.code if file.error else None


STORED = (FileState.STORED, None)
CHANGED = (FileState.FAILED, "source_changed")
STARTED_OVER = (FileState.REGISTERED, "source_started_over")

CHANGES: dict[str, Change] = {
    "truncated": lambda path: os.truncate(path, 2 * MIB),
    "grown": append,
    "rewritten": lambda path: path.write_bytes(OTHER),
    "mtime put back": lambda path: rewrite(path, 10, b"other"),
    "through a mapping, mtime put back": lambda path: rewrite_mapped(path, 10, b"other"),
}


def at(bench: Bench, put: int, change: Change) -> None:
    """Change the source right before put number `put`, when all segments up to that one and the next have been read."""

    def happen() -> None:
        change(bench.path)

    bench.chunks.before_put[put] = happen


def counting_readings(bench: Bench, monkeypatch: pytest.MonkeyPatch, *moments: Change) -> list[int]:
    """Return a list that grows by one with each further reading. The n-th of `moments` changes the source then."""
    begun: list[int] = []
    real = stability._require_same_bytes

    async def counted(*arguments: Any, **named: Any) -> None:
        if len(begun) < len(moments):
            moments[len(begun)](bench.path)
        begun.append(1)
        await real(*arguments, **named)

    monkeypatch.setattr(stability, "_require_same_bytes", counted)
    return begun


async def test_source_at_rest_is_read_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    again = counting_readings(bench, monkeypatch)
    await bench.register()
    file = await bench.attempt()
    assert (outcome(file), bench.stored(file), again) == (STORED, DATA, [])


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_source_that_changes_while_it_is_read_fails_and_nothing_is_sealed(bench: Bench, change: Change) -> None:
    await bench.register()
    at(bench, 3, change)
    file = await bench.attempt()
    assert outcome(file) == CHANGED
    assert {row.record.state for row in bench.contents.rows.values()} == {ContentState.OPEN}


async def test_source_rewritten_before_its_reading_came_there_is_stored_as_it_is_then(bench: Bench) -> None:
    """The mtime is put back, but both readings find the same bytes, and no other bytes were ever read."""
    await bench.register()
    at(bench, 1, lambda path: rewrite(path, LENGTH - 9, b"other"))
    file = await bench.attempt()
    assert (outcome(file), bench.stored(file)) == (STORED, bench.path.read_bytes())
    assert bench.stored(file) != DATA


@pytest.mark.parametrize("change", [touch_all_ways, Path.unlink], ids=["linked and chmod-ed", "unlinked"])
async def test_source_that_is_only_touched_is_read_once_more_and_stored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    again = counting_readings(bench, monkeypatch)
    await bench.register()
    at(bench, 3, change)
    file = await bench.attempt()
    assert (outcome(file), bench.stored(file), len(again)) == (STORED, DATA, 1)
    assert file.checked_bytes == 0


async def test_source_touched_before_the_attempt_is_read_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    again = counting_readings(bench, monkeypatch)
    await bench.register()
    touch_all_ways(bench.path)
    assert outcome(await bench.attempt()) == STORED
    assert not again


async def test_source_touched_all_the_time_is_read_three_times_and_stored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = counting_readings(bench, monkeypatch, touch_all_ways, touch_all_ways, touch_all_ways)
    await bench.register()
    at(bench, 3, touch_all_ways)
    file = await bench.attempt()
    assert (outcome(file), bench.stored(file), len(again)) == (STORED, DATA, 2)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("reading", [0, 1])
async def test_source_that_changes_when_it_is_read_again_fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: Change, reading: int
) -> None:
    counting_readings(bench, monkeypatch, *[touch_all_ways] * reading, change)
    await bench.register()
    at(bench, 3, touch_all_ways)
    assert outcome(await bench.attempt()) == CHANGED


async def test_progress_of_the_second_reading_is_shown(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "PROGRESS_SECONDS", 0.0)
    seen: list[tuple[int, int]] = []
    real = bench.files.renew

    async def noted(lease: Lease, **changes: Any) -> None:
        if changes.get("checked_bytes"):
            seen.append((changes["stored_bytes"], changes["checked_bytes"]))
        await real(lease, **changes)

    async def slowly() -> None:
        assert await eventually(lambda: _value(seen)), "the progress never showed"

    bench.files.renew = noted  # type: ignore[method-assign]
    bench.chunks.before_seal = slowly
    await bench.register()
    at(bench, 3, touch_all_ways)
    assert outcome(await bench.attempt()) == STORED
    assert seen[-1] == (LENGTH, LENGTH)


async def test_second_reading_stops_when_the_worker_is_asked_to(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = SourceReader.segments
    readings: list[int] = []

    async def endless(self: SourceReader, chunks_each: int) -> AsyncGenerator[Segment]:
        readings.append(0)
        async with aclosing(real(self, chunks_each)) as segments:
            async for segment in segments:
                yield segment
                if len(readings) == 2:
                    bench.stop = True
                    await asyncio.Event().wait()

    monkeypatch.setattr(SourceReader, "segments", endless)
    await bench.register()
    at(bench, 3, touch_all_ways)
    file = await bench.attempt()
    assert (file.state, file.fruitless_attempts) == (FileState.REGISTERED, 0)
    bench.stop = False
    readings.append(0)
    assert outcome(await bench.attempt()) == STORED


BETWEEN: dict[str, tuple[Change, str]] = {
    "replaced": (lambda path: replace_by_rename(path, OTHER), "source_changed"),
    "truncated": (lambda path: os.truncate(path, 2 * MIB), "source_changed"),
    "grown": (append, "source_changed"),
    "mtime put back": (lambda path: rewrite(path, 10, b"other"), "source_changed"),
    "deleted": (Path.unlink, "source_missing"),
}


async def _stopped_in_the_middle(bench: Bench, if_changed: IfChanged = IfChanged.FAIL) -> File:
    """Register the file and stop its worker when a part is stored; return the file afterwards."""
    before = await bench.register(if_changed)

    async def stop() -> None:
        bench.stop = True
        await asyncio.Event().wait()

    bench.chunks.before_put[3] = stop
    file = await bench.attempt()
    assert (file.state, file.stored_bytes) == (FileState.REGISTERED, 2 * MIB)
    assert file.source.identity == before.source.identity
    bench.stop = False
    return file


@pytest.mark.parametrize(("change", "code"), BETWEEN.values(), ids=BETWEEN)
async def test_source_that_changes_between_two_attempts_fails(bench: Bench, change: Change, code: str) -> None:
    await _stopped_in_the_middle(bench)
    change(bench.path)
    assert outcome(await bench.attempt()) == (FileState.FAILED, code)


async def test_source_touched_between_two_attempts_goes_on(bench: Bench) -> None:
    before = await _stopped_in_the_middle(bench)
    touch_all_ways(bench.path)
    puts = bench.chunks.puts
    file = await bench.attempt()
    assert (outcome(file), bench.stored(file), file.content_id) == (STORED, DATA, before.content_id)
    assert bench.chunks.puts - puts == 4


async def test_source_that_became_unreadable_fails_and_can_be_retried(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    await _stopped_in_the_middle(bench)
    with monkeypatch.context() as without_permission:
        without_permission.setattr(beneath, "_openat2", refused)
        assert outcome(await bench.attempt()) == (FileState.FAILED, "source_unreadable")
    await bench.files.move(bench.file_id, FILE_MOVES[Action.RETRY])
    assert outcome(await bench.attempt()) == STORED


@pytest.mark.parametrize("position", range(6))
async def test_read_error_is_tried_again_and_then_fails_and_can_be_retried(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, position: int
) -> None:
    """Every read fails from chunk number `position` on."""
    real = os.pread

    def fail(descriptor: int, length: int, offset: int) -> bytes:
        if offset >= position * MIB:
            raise OSError(errno.EIO, "Input/output error")
        return real(descriptor, length, offset)

    await bench.register()
    with monkeypatch.context() as broken:
        broken.setattr(os, "pread", fail)
        attempts = [outcome(await bench.attempt()) for _ in range(MAX_ATTEMPTS)]
        while attempts[-1][0] is FileState.REGISTERED:  # one attempt stored something, so it is not fruitless
            attempts.append(outcome(await bench.attempt()))
    code = "source_read_failed"
    assert attempts[-1] == (FileState.FAILED, code)
    assert set(attempts[:-1]) == {(FileState.REGISTERED, code)}
    assert len(attempts) <= MAX_ATTEMPTS + 1
    await bench.files.move(bench.file_id, FILE_MOVES[Action.RETRY])
    file = await bench.attempt()
    assert (outcome(file), bench.stored(file)) == (STORED, DATA)


async def test_what_was_sealed_before_a_crash_is_what_the_next_attempt_must_read(bench: Bench) -> None:
    """The content is sealed, but the file does not know: only the same bytes can finish the file."""

    async def lose() -> None:
        raise LeaseLost("killed")

    await bench.register()
    finish = bench.files.finish
    bench.files.finish = lambda *_, **__: lose()  # type: ignore[method-assign]
    file = await bench.attempt()
    bench.files.finish = finish  # type: ignore[method-assign]
    (row,) = bench.contents.rows.values()
    assert (file.state, row.record.state) == (FileState.STORING, ContentState.SEALED)
    bench.files.rows[file.id].lease_until = 0.0
    rewrite(bench.path, 10, b"other")
    assert outcome(await bench.attempt()) == CHANGED


@pytest.mark.parametrize(("change", "code"), BETWEEN.values(), ids=BETWEEN)
async def test_policy_restart_stores_the_source_as_it_is_now(bench: Bench, change: Change, code: str) -> None:
    old = (await _stopped_in_the_middle(bench, IfChanged.RESTART)).content_id
    assert old is not None
    change(bench.path)
    if code == "source_missing":  # a missing source has not changed
        assert outcome(await bench.attempt()) == (FileState.FAILED, code)
        return
    waiting = await bench.attempt()
    assert outcome(waiting) == STARTED_OVER
    assert (waiting.stored_bytes, waiting.content_outdated, waiting.content_id) == (0, True, old)
    file = await bench.attempt()
    now = bench.path.read_bytes()
    assert (outcome(file), bench.stored(file), file.length) == (STORED, now, len(now))
    assert (file.stored_bytes, file.content_outdated) == (len(now), False)
    await bench.contents.sweep(old)
    assert set(bench.contents.rows) == set(bench.contents.chunks) == {file.content_id}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_policy_restart_after_a_change_while_it_was_read(bench: Bench, change: Change) -> None:
    await bench.register(IfChanged.RESTART)
    at(bench, 3, change)
    assert outcome(await bench.attempt()) == STARTED_OVER
    file = await bench.attempt()
    assert (outcome(file), bench.stored(file)) == (STORED, bench.path.read_bytes())


async def test_source_that_never_comes_to_rest_fails_in_the_end(bench: Bench) -> None:
    """The source fails even though each attempt stores something and notes its progress."""
    await bench.register(IfChanged.RESTART)
    seen = []
    for _ in range(MAX_ATTEMPTS):

        async def change() -> None:
            assert await eventually(lambda: _stored_something(bench))
            append(bench.path)

        bench.chunks.before_put[bench.chunks.puts + 3] = change
        file = await bench.attempt()
        seen.append((outcome(file), file.fruitless_attempts))
    assert seen[:-1] == [(STARTED_OVER, number) for number in range(1, MAX_ATTEMPTS)]
    assert seen[-1][0] == CHANGED


async def test_source_that_grew_beyond_the_limit_is_too_large(bench: Bench) -> None:
    await bench.register(IfChanged.RESTART)
    append(bench.path)
    bench.settings = bench.settings.model_copy(update={"max_file_bytes": LENGTH})
    assert outcome(await bench.attempt()) == (FileState.FAILED, "source_too_large")


async def _charged(bench: Bench, quota_bytes: int) -> None:
    """Make the account and charge the registered file, as prepare does."""
    await bench.accounts.create(NewAccount(username="operator", scopes=(), quota_bytes=quota_bytes))
    await bench.usage.charge("operator", LENGTH)


def _used(bench: Bench) -> int:
    return bench.accounts.by_name["operator"].used_bytes


@pytest.mark.parametrize("length", [LENGTH + 9, MIB, LENGTH], ids=["grown", "shrunk", "as long as before"])
async def test_started_over_counts_what_the_source_is_now(bench: Bench, length: int) -> None:
    await bench.register(IfChanged.RESTART)
    await _charged(bench, LENGTH + 9)
    replace_by_rename(bench.path, bytes(length))
    assert outcome(await bench.attempt()) == STARTED_OVER
    assert _used(bench) == length
    assert outcome(await bench.attempt()) == STORED
    assert _used(bench) == length


async def test_source_that_grew_beyond_the_quota_fails_and_counts_as_before(bench: Bench) -> None:
    await bench.register(IfChanged.RESTART)
    await _charged(bench, LENGTH + 8)
    replace_by_rename(bench.path, bytes(LENGTH + 9))
    file = await bench.attempt()
    assert (outcome(file), file.length) == ((FileState.FAILED, "quota_exceeded"), LENGTH)
    assert _used(bench) == LENGTH


async def test_shrunk_source_whose_record_somebody_else_has_now_is_not_given_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new holder may charge the file as well; a recount corrects the account later."""
    await bench.register(IfChanged.RESTART)
    await _charged(bench, LENGTH)
    replace_by_rename(bench.path, bytes(MIB))
    release = bench.files.release

    async def claimed_at_once(lease: Lease, *states: FileState, **changes: Any) -> None:
        await release(lease, *states, **changes)
        await bench.files.claim(lease.record_id, holder="o", from_states=STORABLE, to_state=FileState.STORING)

    monkeypatch.setattr(bench.files, "release", claimed_at_once)
    assert (await bench.attempt()).length == MIB
    assert _used(bench) == LENGTH


async def test_retried_file_that_was_registered_anew_is_stored(bench: Bench) -> None:
    old = (await _stopped_in_the_middle(bench)).content_id
    replace_by_rename(bench.path, OTHER[:MIB])
    assert outcome(await bench.attempt()) == CHANGED
    identity = await identify(str(bench.path), Roots.any_of((bench.path.parent,)), max_file_bytes=None)
    anew: dict[str, Any] = registered_anew(identity)
    await bench.files.move(bench.file_id, FILE_MOVES[Action.RETRY], **anew)
    file = await bench.attempt()
    assert (outcome(file), bench.stored(file)) == (STORED, OTHER[:MIB])
    assert file.content_id != old


@pytest.mark.parametrize("step", ["drop_ref", "renew", "open"])
async def test_worker_killed_on_the_way_to_a_new_content_leaves_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The worker is killed right after the step."""
    await _stopped_in_the_middle(bench, IfChanged.RESTART)
    replace_by_rename(bench.path, OTHER)
    assert outcome(await bench.attempt()) == STARTED_OVER
    part = bench.files if step == "renew" else bench.contents
    real = getattr(part, step)

    async def killed(*arguments: Any, **named: Any) -> None:
        await real(*arguments, **named)
        raise LeaseLost("killed")

    with monkeypatch.context() as once:
        once.setattr(part, step, killed)
        await bench.attempt()
    bench.files.rows[bench.file_id].lease_until = 0.0
    file = await bench.attempt()
    assert (outcome(file), bench.stored(file)) == (STORED, OTHER)
    for content_id in list(bench.contents.rows):
        await bench.contents.sweep(content_id)
    assert set(bench.contents.rows) == set(bench.contents.chunks) == {file.content_id}


async def test_stalled_worker_makes_no_content_that_its_file_has_forgotten(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker stalls before it makes the content in the record; meanwhile other workers replace that content."""
    monkeypatch.setattr(attempt, "TICK_SECONDS", 30)  # the stalled worker never checks its lease
    await bench.register(IfChanged.RESTART)
    going_on: list[RecordId] = []
    real = bench.contents.open

    async def stalled(content_id: RecordId, **named: Any) -> Content:
        bench.contents.open = real  # type: ignore[method-assign]
        bench.files.rows[bench.file_id].lease_until = 0.0
        replace_by_rename(bench.path, OTHER)
        await bench.attempt()
        assert outcome(await bench.attempt()) == STORED
        going_on.append(content_id)
        return await real(content_id, **named)

    bench.contents.open = stalled  # type: ignore[method-assign]
    file = await bench.attempt()
    assert (outcome(file), bench.stored(file)) == (STORED, OTHER)
    assert going_on != [file.content_id]
    await bench.contents.sweep(going_on[0])
    assert set(bench.contents.rows) == {file.content_id}


async def _value(found: list[tuple[int, int]]) -> bool:
    return bool(found) and found[-1] == (LENGTH, LENGTH)


async def _stored_something(bench: Bench) -> bool:
    return (await bench.now()).stored_bytes > 0
