"""Deliveries through stages at every kind of real server: interrupted, with lost answers, and their receipts."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from gridhaul.transfer.errors import TargetUnavailable
from gridhaul.transfer.model import CheckedWhen, Delivery, Evidence, IfExists, Receipt, Stage
from gridhaul.transfer.ports.targets import Leaving, RepeatableBlocks
from gridhaul.transfer.states import DELIVERY_MOVES, Action, DeliveryState
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import eventually
from tests.contracts.stage_places import KINDS, S3, StagePlaces, StagingTarget, stage_places
from tests.folders import NewFolder
from tests.targets.deliveries import written
from tests.tasks.delivery_bench import NAME, OLD, Bench, code_of
from tests.tasks.worker_parts import only

DATA = some_bytes(100 * MIB + 7)  # of S3: more than what is in flight
SHORTER = DATA[: 50 * MIB + 7]
IN_FLIGHT_BYTES = 64 * MIB + 16 * MIB  # of S3: parts that are sent and not confirmed
TOLD_DIGEST = ("rclone-etag",)
LINE_SEEN_BROKEN_SECONDS = 2  # until a busy server has seen which requests have broken off, and has ended them


@pytest.fixture(scope="module")
def running(new_folder: NewFolder) -> Iterator[StagePlaces]:
    with new_folder("places") as folder, stage_places(folder) as found:
        yield found


@pytest.fixture(params=KINDS)
async def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def target(kind: str, running: StagePlaces, bench: Bench) -> AsyncIterator[StagingTarget]:
    async with running.new(kind)() as found:
        found.name = "disk"
        bench.runtime = replace(bench.runtime, targets=only(found))
        yield found


def data_for(kind: str) -> bytes:
    return DATA if kind in S3 else SHORTER


def breaking(monkeypatch: pytest.MonkeyPatch, target: StagingTarget, *, at: int) -> None:
    """Let the first attempt to write break off after so many bytes."""
    write, attempts = target.write, list[Stage]()

    async def broken(stage: Stage, blocks: RepeatableBlocks, *, leaving: Leaving, **more: Any) -> Stage:
        attempts.append(stage)
        left = 0

        def count(length: int) -> None:
            nonlocal left
            leaving(length)
            left += length
            if left > at and len(attempts) == 1:
                raise TargetUnavailable("The line broke.")

        return await write(stage, blocks, leaving=count, **more)

    monkeypatch.setattr(target, "write", broken)


async def holds(target: StagingTarget, data: bytes, delivery: Delivery) -> bool:
    found = await target.read_back(
        delivery.final_name or "", length=len(data), sha256=delivery.sha256, checked=lambda _: None
    )
    return found is not None and found.sha256 == delivery.sha256


def evidence_of(kind: str) -> Evidence:
    if kind == "seaweedfs":
        return Evidence.PART_DIGESTS
    return Evidence.REMOTE_DIGEST if kind in TOLD_DIGEST else Evidence.READ_BACK


def require_receipt(kind: str, target: StagingTarget, receipt: Receipt) -> None:
    """A server that was not seen to refuse a lie gets no better evidence than reading back."""
    after = kind in S3 and evidence_of(kind) is Evidence.READ_BACK
    assert receipt.evidence is evidence_of(kind)
    assert receipt.checked is (CheckedWhen.AFTER_COMMIT if after else CheckedWhen.BEFORE_COMMIT)
    assert (receipt.abilities, receipt.atomic_commit) == (target.abilities, True)


async def test_interrupted_delivery_goes_on_or_begins_anew_and_its_receipt_says_what_was_sent(
    kind: str, bench: Bench, target: StagingTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.allow_overwrite_race = True
    data = data_for(kind)
    breaks_at = len(data) - 10 * MIB
    breaking(monkeypatch, target, at=breaks_at)
    waiting = await bench.deliver(data, "disk")
    assert (waiting.state, code_of(waiting)) == (DeliveryState.QUEUED, "target_unavailable")
    if kind in S3:
        await asyncio.sleep(LINE_SEEN_BROKEN_SECONDS)
    second = await bench.attempt(waiting)
    delivered = await bench.attempt(waiting)  # a server may hold the stage until it sees the line broken
    assert delivered.receipt is not None, delivered.error
    require_receipt(kind, target, delivered.receipt)
    assert await holds(target, data, delivered)
    last = delivered.receipt.sent_in_attempts[-1]
    most = IN_FLIGHT_BYTES if kind in S3 else 34 * MIB
    assert last <= len(data) - breaks_at + most if target.abilities.resumable else last == len(data), second.error
    bench.row.next_attempt_at = 0.0 if delivered.leftovers else None
    cleaned = await bench.clean(delivered)
    assert (cleaned.leftovers, cleaned.stage) == ((), None)
    assert await target.resume(waiting.stage or Stage(name="no", final_name="no", generation=0, length=1)) is None


@pytest.mark.parametrize("committed", [True, False], ids=["answer lost", "request lost"])
async def test_commit_with_unknown_outcome_ends_in_one_object(
    kind: str, bench: Bench, target: StagingTarget, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    target.allow_overwrite_race = True
    commit, commits = target.commit, list[Stage]()

    async def lost(stage: Stage) -> None:
        commits.append(stage)
        if committed or len(commits) > 1:
            await commit(stage)
        if len(commits) == 1:
            raise TargetUnavailable("The target does not answer.")

    monkeypatch.setattr(target, "commit", lost)
    waiting = await bench.deliver(DATA[: 20 * MIB], "disk")
    delivered = await bench.attempt(waiting)
    assert delivered.receipt is not None, delivered.error
    assert delivered.receipt.sent_in_attempts[:1] == (20 * MIB,)
    assert len(commits) == (1 if committed else 2)
    assert await holds(target, DATA[: 20 * MIB], delivered)


async def test_other_object_that_has_the_name_is_left_alone(kind: str, bench: Bench, target: StagingTarget) -> None:
    target.allow_overwrite_race = True
    await target.replace(await written(target, NAME, OLD))
    failed = await bench.deliver(DATA[: 5 * MIB], "disk")
    assert (failed.state, code_of(failed)) == (DeliveryState.FAILED, "object_exists")
    other = await bench.deliver(DATA[: 5 * MIB + 1], "disk", if_exists=IfExists.OVERWRITE)
    assert other.receipt is not None, other.error
    require_receipt(kind, target, other.receipt)
    assert await holds(target, DATA[: 5 * MIB + 1], other)


async def test_cancelled_delivery_leaves_nothing(
    kind: str, bench: Bench, target: StagingTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.allow_overwrite_race = True
    data = data_for(kind)
    breaking(monkeypatch, target, at=len(data) - 10 * MIB)
    waiting = await bench.deliver(data, "disk")
    cancelled = await bench.deliveries.move(waiting.id, DELIVERY_MOVES[Action.CANCEL])
    assert cancelled is not None

    async def cleaned() -> bool:  # a server may hold the stage until it sees that the line is broken
        bench.row.next_attempt_at = 0.0
        now = await bench.clean(cancelled)
        return (now.stage, now.leftovers, now.cleaning_error) == (None, (), None)

    await eventually(cleaned)
    assert await target.find(NAME, length=len(data)) is None
