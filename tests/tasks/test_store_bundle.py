"""Small files are stored together, and each has the right end when something goes wrong with one or with all."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from gridhaul.source.roots import Roots
from gridhaul.source.small import read_small
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.errors import ChunkServiceFailed, LeaseLost
from gridhaul.transfer.model import (
    File,
    NewDelivery,
    RecordId,
    Seal,
    Segment,
    TaskName,
)
from gridhaul.transfer.origins import SourceIdentity
from gridhaul.transfer.states import FILE_MOVES, STORABLE, Action, DeliveryState, FileState, Layout
from tasks import attempt, store_bundle
from tasks.upload_file import store_file
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import destination
from tests.tasks.bundle_bench import TARGET, Bench
from tests.tasks.storing_bench import Change, append

PREAD = os.pread
LENGTHS = (65536, 0, 1, MIB + 5, 2 * MIB)
STORED = (FileState.STORED, None)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    for module, name in ((attempt, "TICK_SECONDS"), (store_bundle, "TICK_SECONDS")):
        monkeypatch.setattr(module, name, 0.002)
    return Bench(root=tmp_path)


async def registered(bench: Bench, lengths: tuple[int, ...] = LENGTHS) -> list[RecordId]:
    return [await bench.register(n, some_bytes(length)) for n, length in enumerate(lengths)]


def outcome(file: File) -> tuple[FileState, str | None]:
    return file.state, file.error.code if file.error else None


async def require_stored(bench: Bench, files: list[File]) -> None:
    """Require that each file is stored with its own bytes, and that only one attempt at it counted."""
    for file in files:
        assert (*outcome(file), file.attempts, file.fruitless_attempts) == (*STORED, 1, 0)
        assert (file.stored_bytes, file.checked_bytes) == (file.length, 0)
        assert await bench.stored(file) == bench.path(int(file.name[1:])).read_bytes()


async def test_new_files_are_stored_with_one_request(bench: Bench) -> None:
    files = await bench.store(*await registered(bench))
    await require_stored(bench, files)
    assert (bench.chunks.bundles, bench.chunks.puts) == ([len(LENGTHS)], 0)
    assert {file.layout for file in files} == {Layout.INLINE}


async def test_more_than_a_request_takes_goes_in_several(bench: Bench) -> None:
    files = await bench.store(*await registered(bench, (2 * MIB,) * 9))
    await require_stored(bench, files)
    assert bench.chunks.bundles == [7, 2]


async def test_stored_files_that_are_hinted_again_cost_one_look(bench: Bench) -> None:
    ids = await registered(bench)
    await bench.store(*ids)
    before = {file_id: bench.files.rows[file_id].record for file_id in ids}
    await bench.store(*ids)
    assert {file_id: bench.files.rows[file_id].record for file_id in ids} == before
    assert len(bench.chunks.bundles) == 1


async def test_file_that_was_tried_before_is_stored_by_itself(bench: Bench) -> None:
    tried, *new = await registered(bench)
    file = await bench.files.claim(tried, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert file is not None
    await bench.files.release(file.lease, FileState.REGISTERED, delay_seconds=0)
    again, *others = await bench.store(tried, *new)
    await require_stored(bench, others)
    assert (outcome(again), again.attempts) == (STORED, 2)
    assert (bench.chunks.bundles, bench.chunks.puts) == ([len(new)], 1)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (append, "source_changed"),
        (lambda path: os.truncate(path, 1), "source_changed"),
        (Path.unlink, "source_missing"),
        (lambda path: (path.unlink(), path.mkdir()), "not_a_regular_file"),
    ],
)
async def test_source_that_is_not_as_it_was_fails_and_the_others_are_stored(
    bench: Bench, change: Change, code: str
) -> None:
    ids = await registered(bench)
    change(bench.path(3))
    files = await bench.store(*ids)
    bad = files.pop(3)
    await require_stored(bench, files)
    assert (outcome(bad), bad.attempts) == ((FileState.FAILED, code), 1)
    assert bench.chunks.bundles == [len(ids) - 1]


async def test_source_that_was_only_touched_is_stored_by_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the bytes show whether the source changed, which takes another reading."""
    ids, touches = await registered(bench), iter([0o600])

    def touching(descriptor: int, length: int, at: int) -> bytes:
        for mode in touches:
            bench.path(0).chmod(mode)
        return PREAD(descriptor, length, at)

    monkeypatch.setattr(os, "pread", touching)
    files = await bench.store(*ids)
    await require_stored(bench, files)
    assert (bench.chunks.bundles, bench.chunks.puts) == ([len(ids) - 1], 1)


@pytest.mark.parametrize(("limit", "layouts"), [(0, {Layout.GRIDFS}), (1, {Layout.INLINE, Layout.GRIDFS})])
async def test_contents_past_the_limit_of_the_inline_layout_go_together_too(
    tmp_path: Path, limit: int, layouts: set[Layout]
) -> None:
    bench = Bench(root=tmp_path, inline_limit_chunks=limit)
    files = await bench.store(*await registered(bench))
    await require_stored(bench, files)
    assert {file.layout for file in files} == layouts
    assert (bench.chunks.bundles, bench.chunks.puts) == ([len(LENGTHS)], 0)


async def test_files_of_up_to_15_mib_go_together_and_larger_ones_alone(bench: Bench) -> None:
    ids = await registered(bench, (15 * MIB + 1, 2 * MIB + 1, 15 * MIB, 5))
    files = await bench.store(*ids)
    await require_stored(bench, files)
    assert (bench.chunks.bundles, bench.chunks.puts) == ([1, 2], 1)


async def test_files_past_the_bytes_of_a_bundle_are_left_to_another_child(bench: Bench) -> None:
    ids = await registered(bench, (15 * MIB,) * 4 + (4 * MIB, 1, 1))
    *stored, late, last = await bench.store(*ids)
    await require_stored(bench, stored)
    assert (outcome(late), late.attempts) == ((FileState.REGISTERED, None), 0)
    assert [(hint.task, hint.record_id) for hint in bench.hints] == [
        (TaskName.STORE_BUNDLE, file.id) for file in (late, last)
    ]
    await require_stored(bench, await bench.store(late.id, last.id))


async def test_bytes_of_two_requests_and_of_one_more_are_held_at_most(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child reads the next request's files while two requests are under way, and no further."""
    bench.segments_in_flight, store = 2, bench.chunks.store_whole
    held, most = [0], [0]

    def reading(path: str, roots: Roots, registered: SourceIdentity) -> tuple[Segment, Seal]:
        held[0] += registered.size
        most[0] = max(most[0], held[0])
        return read_small(path, roots, registered)

    async def storing(contents: Sequence[WholeContent]) -> Mapping[RecordId, Layout]:
        stored = await store(contents)
        held[0] -= sum(one.seal.length for one in contents)
        return stored

    monkeypatch.setattr(store_bundle, "read_small", reading)
    monkeypatch.setattr(bench.chunks, "store_whole", storing)
    await require_stored(bench, await bench.store(*await registered(bench, (4 * MIB,) * 16)))
    assert held == [0]
    assert 12 * MIB <= most[0] <= 3 * 16 * MIB


@pytest.mark.parametrize("error", [ChunkServiceFailed("no"), LeaseLost("404"), ZeroDivisionError("a mistake of ours")])
async def test_request_that_fails_leaves_each_to_its_own_journey(bench: Bench, error: Exception) -> None:
    async def fail() -> None:
        raise error

    ids = await registered(bench)
    bench.chunks.before_bundle = fail
    files = await bench.store(*ids)
    await require_stored(bench, files)
    assert len(bench.chunks.bundles) == 1


async def test_request_whose_answer_was_lost_is_completed_by_each_journey(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bench.chunks.store_whole

    async def lose(contents: Sequence[WholeContent]) -> Mapping[RecordId, Layout]:
        await store(contents)
        raise ChunkServiceFailed("no")

    monkeypatch.setattr(bench.chunks, "store_whole", lose)
    files = await bench.store(*await registered(bench))
    await require_stored(bench, files)
    assert bench.chunks.puts == 0


async def test_bundle_that_takes_long_is_given_up_before_its_leases_end(tmp_path: Path) -> None:
    bench = Bench(root=tmp_path, lease_seconds=0.1)
    ids = await registered(bench)
    bench.chunks.before_bundle = asyncio.Event().wait  # type: ignore[assignment]
    await require_stored(bench, await bench.store(*ids))


async def test_worker_that_is_asked_to_stop_gives_them_back(bench: Bench) -> None:
    ids = await registered(bench)

    async def stop() -> None:
        bench.stop = True
        await asyncio.Event().wait()

    bench.chunks.before_bundle = stop
    for file in await bench.store(*ids):
        assert (outcome(file), file.attempts) == ((FileState.REGISTERED, None), 0)
        assert bench.files.rows[file.id].due_and_free
    bench.stop = False
    await require_stored(bench, await bench.store(*ids))


@pytest.mark.parametrize("action", [Action.CANCEL, Action.PAUSE])
async def test_file_that_an_operator_moves_meanwhile_stays_where_it_is(bench: Bench, action: Action) -> None:
    moved, *others = await registered(bench)

    async def move() -> None:
        await bench.files.move(moved, FILE_MOVES[action])

    bench.chunks.before_bundle = move
    file, *stored = await bench.store(moved, *others)
    assert outcome(file) == (FILE_MOVES[action].to_state, None)
    await require_stored(bench, stored)
    back = Action.RETRY if action is Action.CANCEL else Action.RESUME
    await bench.files.move(moved, FILE_MOVES[back])
    (again,) = await bench.store(moved)
    assert outcome(again) == STORED
    assert await bench.stored(again) == some_bytes(LENGTHS[0])


async def test_file_that_is_deleted_meanwhile_leaves_nothing(bench: Bench) -> None:
    gone, *others = await registered(bench)

    async def delete() -> None:
        file = await bench.files.move(gone, FILE_MOVES[Action.CANCEL])
        assert file is not None
        assert file.content_id is not None
        await bench.contents.drop_ref(file.content_id, gone)

    bench.chunks.before_bundle = delete
    file, *stored = await bench.store(gone, *others)
    await require_stored(bench, stored)
    assert file.state is FileState.CANCELLED
    assert file.content_id not in bench.contents.chunks


async def test_each_destination_of_a_file_gets_its_delivery_once(bench: Bench) -> None:
    names = ("o0", "o1", "o2")
    (file,) = await bench.store(
        await bench.register(0, some_bytes(5), deliver_to=[destination(TARGET, object_name=name) for name in names])
    )
    states = {row.record.object_name: row.record.state for row in bench.deliveries.rows.values()}
    assert states == {"o0": DeliveryState.DELIVERED, "o1": DeliveryState.QUEUED, "o2": DeliveryState.QUEUED}
    assert {hint.task for hint in bench.hints} == {TaskName.FINALIZE_FILE}
    assert (len(bench.hints), file.deliveries_asked, bench.files.rows[file.id].next_attempt_at) == (2, 3, None)


async def test_worker_that_died_between_two_deliveries_leaves_none_out_and_doubles_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_all, died = bench.deliveries.make_all, iter([True])

    async def make_some(new: Sequence[NewDelivery]) -> frozenset[RecordId]:
        if not next(died, False):
            return await make_all(new)
        await make_all(new[:1])
        raise asyncio.CancelledError

    monkeypatch.setattr(bench.deliveries, "make_all", make_some)
    file_id = await bench.register(
        0, some_bytes(5), deliver_to=[destination(TARGET, object_name=name) for name in ("o0", "o1")]
    )
    with pytest.raises(asyncio.CancelledError):
        await bench.store(file_id)
    assert len(bench.deliveries.rows) == 1
    await store_file(bench.runtime(), file_id)
    assert [row.record.object_name for row in bench.deliveries.rows.values()] == ["o0", "o1"]
    assert bench.files.rows[file_id].record.deliveries_asked == 2


async def test_deliveries_of_a_batch_are_made_and_nobody_is_hinted(bench: Bench) -> None:
    to = [destination(TARGET, object_name="o0"), destination(TARGET, object_name="o1")]
    await bench.store(await bench.register(0, some_bytes(5), deliver_to=to, batch_id=RecordId("b" * 24)))
    assert [row.record.state for row in bench.deliveries.rows.values()] == [DeliveryState.QUEUED] * 2
    assert bench.hints == []


async def test_deliveries_are_made_for_all_and_the_first_is_done_at_once(bench: Bench) -> None:
    ids = [
        await bench.register(n, some_bytes(5), deliver_to=[destination(TARGET, object_name=f"o{n}")]) for n in range(3)
    ]
    await require_stored(bench, await bench.store(*ids))
    states = {row.record.object_name: row.record.state for row in bench.deliveries.rows.values()}
    assert states == {"o0": DeliveryState.DELIVERED, "o1": DeliveryState.QUEUED, "o2": DeliveryState.QUEUED}
    assert (bench.delivered / "o0").read_bytes() == some_bytes(5)
    paths = {row.record.source_path for row in bench.deliveries.rows.values()}
    assert paths == {row.record.source.path for row in bench.files.rows.values()}
    waiting = {row.record.id for row in bench.deliveries.rows.values() if row.record.state is DeliveryState.QUEUED}
    assert {(hint.task, hint.record_id) for hint in bench.hints} == {(TaskName.FINALIZE_FILE, one) for one in waiting}
