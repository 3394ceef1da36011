"""Checks judge the object of every delivery, mark deliveries whose object is lost, and say what they skip."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gridhaul.storage.checking.objects import MongoObjects
from gridhaul.storage.connect import Database
from gridhaul.targets.directory import DirectoryTarget
from gridhaul.transfer.checks import Check, CheckKind, CheckState, Mode
from gridhaul.transfer.errors import DatabaseUnavailable, OutcomeUnknown, TargetRefused
from gridhaul.transfer.model import Delivery, Failure, File, RecordId, RemoteObject
from gridhaul.transfer.ports.targets import Checked
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, Action, DeliveryState
from tasks.checking import objects
from tasks.run_check import check_some
from tests.contracts.bytes_to_store import MIB
from tests.tasks.check_bench import CheckBench, check_bench
from tests.tasks.test_check_records import LENGTH, delivered, of
from tests.tasks.worker_parts import only

MISSING = Failure(code="object_missing", detail="No object is under the name.")
RETRY = DELIVERY_MOVES[Action.RETRY]
Hook = Callable[[], Awaitable[object]]


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[CheckBench]:
    async with check_bench(database, tmp_path) as bench:
        yield bench


async def _now(bench: CheckBench, delivery_id: RecordId) -> Delivery:
    found = await bench.deliveries.get(delivery_id)
    assert found is not None
    return found


async def _lost(bench: CheckBench, name: str = "run.h5") -> tuple[File, RecordId]:
    """Store a file, deliver it, and remove its object."""
    file, _ = await bench.stored(LENGTH)
    delivery_id = await delivered(bench, file, name)
    (bench.disk / name).unlink()
    return file, delivery_id


def _counts(check: Check) -> tuple[int, dict[str, int], dict[str, int]]:
    return check.checked_objects, check.skipped_objects or {}, check.counts or {}


async def test_lost_object_is_found_for_each_delivery_of_the_same_bytes_to_its_name(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    same, _ = await bench.stored(LENGTH, name="same")
    first, second = [await delivered(bench, one, "run.h5") for one in (file, same)]
    (bench.disk / "run.h5").unlink()
    check = await bench.check(file_id=file.id, read_targets=True)
    assert [(one.code, one.delivery_id) for one in check.findings] == [("object_missing", first)]
    check = await bench.check()
    assert {one.delivery_id for one in check.findings} == {first, second}
    assert _counts(check) == (2, {}, {"object_missing": 2})


async def test_object_that_two_deliveries_claim_is_read_once(bench: CheckBench) -> None:
    for name in ("one", "two"):
        file, _ = await bench.stored(LENGTH, name=name)
        await delivered(bench, file, "run.h5")
    check = await bench.check(read_targets=True)
    assert _counts(check) == (2, {}, {})
    assert (check.target_bytes, check.unread_objects) == (LENGTH, 0)


async def test_objects_whose_length_alone_is_compared_are_counted(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    for name in ("one", "two"):
        await delivered(bench, file, name)
    check = await bench.check()
    assert (check.checked_objects, check.unread_objects, check.target_bytes) == (2, 2, 0)


async def test_delivery_whose_object_was_replaced_is_skipped_and_no_longer_marked(bench: CheckBench) -> None:
    _, first = await _lost(bench)
    await bench.check()
    other, _ = await bench.stored(LENGTH + 1, name="other")
    await delivered(bench, other, "run.h5")
    check = await bench.check()
    assert _counts(check) == (1, {"replaced": 1}, {})
    assert (await _now(bench, first)).object_error is None


async def test_delivery_whose_name_another_delivery_holds_is_skipped(bench: CheckBench) -> None:
    _, first = await _lost(bench)
    await _held_by_another(bench)
    assert _counts(await bench.check()) == (0, {"name_held": 1}, {})
    assert (await _now(bench, first)).object_error is None


async def _held_by_another(bench: CheckBench) -> Delivery:
    """Let a worker hold the name for another file of the same bytes."""
    same, _ = await bench.stored(LENGTH, name="same")
    delivery, _ = await bench.deliveries.open(of(same, "run.h5"))
    taken = await bench.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    assert await bench.deliveries.hold_name(taken.lease, "run.h5")
    return taken


class Silent(DirectoryTarget):
    """A directory target that does not tell what it holds."""

    async def find(self, name: str, *, length: int) -> RemoteObject | None:
        raise OutcomeUnknown("The target does not tell.")


async def test_delivery_at_a_target_that_does_not_tell_is_skipped(bench: CheckBench) -> None:
    await _lost(bench)
    bench.runtime = replace(bench.runtime, targets=only(Silent(name="disk", path=bench.disk)))
    assert _counts(await bench.check()) == (0, {"not_told": 1}, {})


class Refusing(DirectoryTarget):
    """A directory target that refuses to show one object, or all objects for `None`."""

    refused: str | None = "one"

    async def find(self, name: str, *, length: int) -> RemoteObject | None:
        if self.refused in (None, name):
            raise TargetRefused("The target refuses.")
        return await super().find(name, length=length)


async def test_refusal_of_one_object_hides_no_lost_one(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    for name in ("one", "two"):
        await delivered(bench, file, name)
        (bench.disk / name).unlink()
    bench.runtime = replace(bench.runtime, targets=only(Refusing(name="disk", path=bench.disk)))
    check = await bench.check()
    assert _counts(check) == (1, {"refused": 1}, {"object_missing": 1, "target_silent": 1})


async def test_target_that_refuses_everything_is_soon_left_alone(
    bench: CheckBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "REFUSALS_AT_MOST", 2)
    file, _ = await bench.stored(LENGTH)
    for name in ("one", "two", "three", "four"):
        await delivered(bench, file, name)
    refusing = Refusing(name="disk", path=bench.disk)
    refusing.refused = None
    bench.runtime = replace(bench.runtime, targets=only(refusing))
    assert _counts(await bench.check()) == (0, {"refused": 2, "target_silent": 2}, {"target_silent": 2})


async def test_delivery_stays_replaced_when_the_later_object_is_lost_and_queued_again(bench: CheckBench) -> None:
    _, first = await _lost(bench)
    other, _ = await bench.stored(LENGTH + 1, name="other")
    second = await delivered(bench, other, "run.h5")
    (bench.disk / "run.h5").unlink()
    assert _counts(await bench.check()) == (1, {"replaced": 1}, {"object_missing": 1})
    assert await bench.deliveries.move(second, RETRY) is not None
    assert _counts(await bench.check()) == (0, {"replaced": 1}, {})
    assert (await _now(bench, first)).object_error is None


async def test_deliveries_at_a_target_that_does_not_answer_are_skipped(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    for name in ("one", "two"):
        await delivered(bench, file, name)
        (bench.disk / name).unlink()
    bench.disk.rmdir()
    check = await bench.check()
    assert (check.checked_objects, check.skipped_objects) == (0, {"target_silent": 2})


@pytest.mark.parametrize(("mode", "marked"), [(Mode.REPORT, MISSING), (Mode.REPAIR, MISSING), (Mode.DRY_RUN, None)])
async def test_only_a_dry_run_leaves_a_lost_delivery_unmarked(
    bench: CheckBench, mode: Mode, marked: Failure | None
) -> None:
    _, lost = await _lost(bench)
    (finding,) = (await bench.check(mode=mode)).findings
    assert finding.why_not == (objects.DELIVER_AGAIN if marked else objects.NOT_MARKED)
    now = await _now(bench, lost)
    assert (now.state, now.object_error) == (DeliveryState.DELIVERED, marked)


async def test_lost_object_of_a_deleted_file_says_that_its_bytes_are_gone(bench: CheckBench) -> None:
    file, lost = await _lost(bench)
    await bench.files.request_delete(file.id, deliveries_asked=0)
    (finding,) = (await bench.check()).findings
    assert finding.why_not == objects.NO_BYTES
    assert (await _now(bench, lost)).object_error == MISSING


async def test_mark_is_removed_when_the_bytes_are_found_right_again(bench: CheckBench) -> None:
    file, lost = await _lost(bench)
    await bench.check()
    path = bench.disk / "run.h5"
    path.write_bytes(b"x" * LENGTH)
    check = await bench.check()
    assert (check.counts, check.target_bytes) == ({"object_differs": 1}, 2 * LENGTH), "the length alone proves nothing"
    path.write_bytes((bench.root / file.name).read_bytes())
    await bench.check(mode=Mode.DRY_RUN)
    assert (await _now(bench, lost)).object_error is not None
    assert (await bench.check()).found == 0
    assert (await _now(bench, lost)).object_error is None


class Disturbed(DirectoryTarget):
    """A directory target beside which something happens each time it is asked for an object."""

    hooks: list[Hook]

    async def find(self, name: str, *, length: int) -> RemoteObject | None:
        found = await super().find(name, length=length)
        if self.hooks:
            await self.hooks.pop(0)()
        return found


def _disturb(bench: CheckBench, *hooks: Hook) -> None:
    target = Disturbed(name="disk", path=bench.disk)
    target.hooks = list(hooks)
    bench.runtime = replace(bench.runtime, targets=only(target))


async def test_delivery_that_is_retried_during_the_check_is_neither_marked_nor_found(bench: CheckBench) -> None:
    _, lost = await _lost(bench)
    await bench.check()
    _disturb(bench, lambda: bench.deliveries.move(lost, RETRY))
    assert _counts(await bench.check()) == (0, {"changed": 1}, {})
    now = await _now(bench, lost)
    assert (now.state, now.object_error, len(now.former_receipts)) == (DeliveryState.QUEUED, None, 1)


async def test_delivery_that_is_overwritten_during_the_check_is_neither_marked_nor_found(bench: CheckBench) -> None:
    other, _ = await bench.stored(LENGTH + 1, name="other")
    _, lost = await _lost(bench)
    _disturb(bench, lambda: delivered(bench, other, "run.h5"))
    check = await bench.check()
    assert (check.skipped_objects, check.found) == ({"replaced": 1}, 0)
    assert (await _now(bench, lost)).object_error is None


async def test_object_that_another_delivery_completes_during_the_check_is_right(bench: CheckBench) -> None:
    same, _ = await bench.stored(LENGTH, name="same")
    _, lost = await _lost(bench)
    _disturb(bench, lambda: delivered(bench, same, "run.h5"))
    assert (await bench.check()).found == 0
    assert (await _now(bench, lost)).object_error is None


async def test_step_that_is_repeated_after_an_interruption_counts_its_objects_once(
    bench: CheckBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _ = await bench.stored(LENGTH)
    for name in ("one", "two", "three"):
        await delivered(bench, file, name)
        (bench.disk / name).unlink()
    note, asked = MongoObjects.note_object, list[RecordId]()

    async def fail_at_the_second(self: MongoObjects, delivery: Delivery, error: Failure | None) -> bool:
        asked.append(delivery.id)
        if len(asked) == 2:
            raise DatabaseUnavailable("The database does not answer as it should; try again.")
        return await note(self, delivery, error)

    monkeypatch.setattr(MongoObjects, "note_object", fail_at_the_second)
    check = await bench.start()
    await check_some(bench.runtime, check.id)
    cut_short = await bench.now(check)
    assert (cut_short.state, cut_short.found, cut_short.checked_objects) == (CheckState.RUNNING, 1, 0)
    await bench.database["checks"].update_many({}, {"$unset": {"next_attempt_at": ""}})
    await check_some(bench.runtime, check.id)
    done = await bench.now(check)
    assert (done.state, _counts(done)) == (CheckState.DONE, (3, {}, {"object_missing": 3}))


async def test_objects_are_counted_over_many_steps(bench: CheckBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "DELIVERIES_A_STEP", 3)
    monkeypatch.setattr(objects, "READ_A_STEP_BYTES", LENGTH)
    file, _ = await bench.stored(LENGTH)
    for number in range(6):
        await delivered(bench, file, f"{number}")
    check = await bench.check(read_targets=True)
    assert (check.checked_objects, check.target_bytes, check.reading_bytes) == (6, 6 * LENGTH, 0)


async def test_reading_an_object_back_moves_the_progress(bench: CheckBench) -> None:
    """A step that has not ended yet shows the bytes that it has read."""
    file, _ = await bench.stored(3 * MIB)
    await delivered(bench, file, "run.h5")
    check = await bench.start(read_targets=True)
    seen: list[int] = []

    class Slow(DirectoryTarget):
        async def read_back(self, name: str, *, length: int, sha256: str, checked: Checked) -> RemoteObject | None:
            found = await super().read_back(name, length=length, sha256=sha256, checked=checked)
            while not seen:
                now = await bench.now(check)
                seen.extend([now.reading_bytes] if now.reading_bytes else [])
            return found

    bench.runtime = replace(bench.runtime, targets=only(Slow(name="disk", path=bench.disk)))
    await check_some(bench.runtime, check.id)
    done = await bench.now(check)
    assert (seen, done.target_bytes, done.reading_bytes) == ([3 * MIB], 3 * MIB, 0)


async def test_gc_asks_no_target(bench: CheckBench) -> None:
    _, lost = await _lost(bench)
    assert _counts(await bench.check(CheckKind.GC, Mode.REPAIR)) == (0, {}, {})
    assert (await _now(bench, lost)).object_error is None
