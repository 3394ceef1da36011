"""Deliveries through a stage, over several attempts, to a real directory. Memory twins hold the rest."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gridhaul.targets.directory import DirectoryTarget
from gridhaul.targets.open_files import write_at
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.errors import TargetRefused, TargetUnavailable
from gridhaul.transfer.model import CheckedWhen, Delivery, IfExists, Receipt, Stage
from gridhaul.transfer.ports.targets import Blocks, Facts, Leaving
from gridhaul.transfer.states import DELIVERY_MOVES, Action, DeliveryState
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.delivered import objects_in
from tests.tasks.delivery_bench import NAME, OLD, Bench, code_of
from tests.tasks.worker_parts import only

DATA = some_bytes(6 * MIB + 5)
BROKE_AT = 3  # blocks of the first attempt that leave


class BreaksOff(DirectoryTarget):
    """A directory that breaks off the first attempt to write, after some blocks."""

    error: Exception = TargetUnavailable("The disk went away.")
    writes = 0
    began_at: tuple[int, ...] = ()

    async def write(self, stage: Stage, blocks: Blocks, *, leaving: Leaving, **more: Any) -> Stage:
        left = 0
        self.writes += 1
        self.began_at += (stage.offset,)

        def breaking(length: int) -> None:
            nonlocal left
            leaving(length)
            left += 1 if length else 0
            if self.writes == 1 and left > BROKE_AT:
                raise self.error

        return await super().write(stage, blocks, leaving=breaking, **more)


def use(bench: Bench, target: DirectoryTarget) -> None:
    bench.runtime = replace(bench.runtime, targets=only(target))


async def broken_off(bench: Bench, target: DirectoryTarget, **options: Any) -> Delivery:
    use(bench, target)
    waiting = await bench.deliver(DATA, "disk", **options)
    assert (waiting.state, code_of(waiting)) == (DeliveryState.QUEUED, "target_unavailable")
    assert waiting.stage is not None
    assert (bench.disk / waiting.stage.name).stat().st_size == BROKE_AT * MIB
    return waiting


async def receipt_after(bench: Bench, delivery: Delivery, *, attempts: int = 1) -> Receipt:
    """Make further attempts, and return the receipt once the right bytes alone are at the target."""
    delivered = await bench.attempt(delivery, attempts=attempts)
    assert delivered.receipt is not None, delivered.error
    bench.row.next_attempt_at = 0.0 if delivered.leftovers else None
    cleaned = await bench.clean(delivered)
    assert (cleaned.leftovers, cleaned.stage) == ((), None)
    assert {path.name: path.read_bytes() for path in objects_in(bench.disk)} == {NAME: DATA}
    return delivered.receipt


async def test_later_attempt_sends_only_what_is_missing(bench: Bench) -> None:
    target = BreaksOff(name="disk", path=bench.disk)
    delivery = await broken_off(bench, target)
    assert delivery.uploads_begun == ()  # only targets that keep uploads need their times
    receipt = await receipt_after(bench, delivery)
    assert target.began_at == (0, BROKE_AT * MIB)
    assert receipt.sent_in_attempts == (BROKE_AT * MIB, len(DATA) - BROKE_AT * MIB)


async def test_receipt_has_the_abilities_that_were_seen(bench: Bench) -> None:
    receipt = await receipt_after(bench, await broken_off(bench, BreaksOff(name="disk", path=bench.disk)))
    seen = Abilities(atomic=True, exclusive=True, durable=True, resumable=True, free_space=True)
    assert (receipt.abilities, receipt.atomic_commit, receipt.checked) == (seen, True, CheckedWhen.BEFORE_COMMIT)


def vanish(bench: Bench, stage: Stage) -> None:
    (bench.disk / stage.name).unlink()


def grow(bench: Bench, stage: Stage) -> None:
    with (bench.disk / stage.name).open("ab") as file:
        file.write(bytes(len(DATA)))


@pytest.mark.parametrize("change", [vanish, grow])
async def test_stage_that_is_not_as_it_was_left_is_begun_anew(
    bench: Bench, change: Callable[[Bench, Stage], None]
) -> None:
    target = BreaksOff(name="disk", path=bench.disk)
    waiting = await broken_off(bench, target)
    assert waiting.stage is not None
    change(bench, waiting.stage)
    receipt = await receipt_after(bench, waiting)
    assert target.began_at == (0, 0)
    assert receipt.sent_in_attempts == (BROKE_AT * MIB, len(DATA))


async def test_damage_in_what_an_earlier_attempt_wrote_is_found_before_the_commit_and_sent_anew(bench: Bench) -> None:
    target = BreaksOff(name="disk", path=bench.disk)
    waiting = await broken_off(bench, target)
    assert waiting.stage is not None
    with (bench.disk / waiting.stage.name).open("r+b") as file:
        file.write(b"damage")
    again = await bench.attempt(waiting)
    assert (again.state, code_of(again)) == (DeliveryState.QUEUED, "target_inconsistent")
    assert objects_in(bench.disk) == []
    await receipt_after(bench, again)
    assert target.began_at == (0, BROKE_AT * MIB, 0)


async def test_target_that_cannot_go_on_is_begun_anew(bench: Bench) -> None:
    class Appending(BreaksOff):
        def rely_on(self, facts: Facts) -> bool:
            return super().rely_on({**facts, "resumable": False})

    target = Appending(name="disk", path=bench.disk)
    use(bench, target)
    waiting = await bench.deliver(DATA, "disk")
    assert waiting.stage is None
    assert objects_in(bench.disk) == []
    receipt = await receipt_after(bench, waiting)
    assert (receipt.sent_in_attempts, target.began_at) == ((BROKE_AT * MIB, len(DATA)), (0, 0))


async def test_error_that_no_other_attempt_cures_leaves_no_stage(bench: Bench) -> None:
    class Refuses(BreaksOff):
        error = TargetRefused("The disk is read-only.")

    use(bench, Refuses(name="disk", path=bench.disk))
    failed = await bench.deliver(DATA, "disk")
    assert (failed.state, failed.stage) == (DeliveryState.FAILED, None)
    assert objects_in(bench.disk) == []


async def test_stage_of_a_cancelled_delivery_is_cleaned(bench: Bench) -> None:
    waiting = await broken_off(bench, BreaksOff(name="disk", path=bench.disk))
    cancelled = await bench.deliveries.move(waiting.id, DELIVERY_MOVES[Action.CANCEL])
    assert cancelled is not None
    bench.row.next_attempt_at = 0.0
    cleaned = await bench.clean(cancelled)
    assert (cleaned.stage, cleaned.leftovers, objects_in(bench.disk)) == (None, (), [])


async def test_stage_for_a_name_that_somebody_took_is_begun_anew_under_the_next_name(bench: Bench) -> None:
    target = BreaksOff(name="disk", path=bench.disk)
    waiting = await broken_off(bench, target, if_exists=IfExists.RENAME)
    (bench.disk / NAME).write_bytes(OLD)
    delivered = await bench.attempt(waiting)
    assert delivered.receipt is not None
    assert delivered.receipt.object_name == "run (1).h5"
    assert target.began_at == (0, 0)
    bench.row.next_attempt_at = 0.0
    await bench.clean(delivered)
    found = {path.name: path.read_bytes() for path in objects_in(bench.disk)}
    assert found == {NAME: OLD, "run (1).h5": DATA}


@pytest.mark.parametrize("committed", [True, False], ids=["answer lost", "request lost"])
async def test_commit_with_unknown_outcome_is_repeated_without_sending(bench: Bench, committed: bool) -> None:
    class Away(BreaksOff):
        writes = 1  # nothing breaks off
        commits = 0

        async def commit(self, stage: Stage) -> None:
            self.commits += 1
            if committed or self.commits > 1:
                await super().commit(stage)
            if self.commits == 1:
                raise TargetUnavailable("The target does not answer.")

    target = Away(name="disk", path=bench.disk)
    use(bench, target)
    waiting = await bench.deliver(DATA, "disk")
    assert waiting.stage is not None
    assert waiting.stage.committing
    receipt = await receipt_after(bench, waiting)
    assert (receipt.attempts, receipt.sent_in_attempts, target.began_at) == (2, (len(DATA),), (0,))
    assert target.commits == (1 if committed else 2)


async def test_stage_that_was_committing_is_never_written_again(bench: Bench) -> None:
    """The commit is lost, and so is a part of the stage: whoever may still commit it must not find new bytes in it."""

    class Away(BreaksOff):
        writes = 1
        commits = 0

        async def commit(self, stage: Stage) -> None:
            self.commits += 1
            if self.commits == 1:
                raise TargetUnavailable("The target does not answer.")
            await super().commit(stage)

    use(bench, Away(name="disk", path=bench.disk))
    waiting = await bench.deliver(DATA, "disk")
    assert waiting.stage is not None
    with (bench.disk / waiting.stage.name).open("r+b") as file:
        file.truncate(MIB)
    again = await bench.attempt(waiting)
    assert again.receipt is not None
    assert again.receipt.sent_in_attempts == (len(DATA), len(DATA))


async def test_worker_that_wakes_in_the_middle_of_a_write_harms_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successor has gone on from its stage and has committed it. The late write has the same bytes."""
    asleep, awake = threading.Event(), threading.Event()

    def stands_still(descriptor: int, block: bytes, offset: int) -> None:
        if offset == 2 * MIB and not asleep.is_set():
            asleep.set()
            awake.wait(30)
        write_at(descriptor, block, offset)

    monkeypatch.setattr("gridhaul.targets.directory.write_at", stands_still)
    use(bench, DirectoryTarget(name="disk", path=bench.disk))
    delivery = await bench.open(DATA, "disk")
    first = asyncio.create_task(bench.attempt(delivery))
    await asyncio.to_thread(asleep.wait, 30)
    bench.row.lease_until = 0.0  # as if the worker stood still for longer than its lease
    bench.row.next_attempt_at = 0.0
    delivered = await bench.attempt(delivery)
    assert delivered.receipt is not None
    awake.set()
    await first
    assert (bench.disk / NAME).read_bytes() == DATA
    assert (await bench.now(delivery)).state is DeliveryState.DELIVERED
