"""The suite of `CheckRegistry` and `RunnableChecks`."""

import pytest

from gridhaul.transfer.checks import CANCEL_CHECK, RUNNABLE, Check, CheckKind, CheckState, Cursor, Mode, NewCheck, Stage
from gridhaul.transfer.errors import LeaseLost
from gridhaul.transfer.findings import Finding, FindingCode
from gridhaul.transfer.model import Queue, RecordId, TaskName
from tests.contracts.ports import Ports, eventually

FSCK = NewCheck(kind=CheckKind.FSCK, mode=Mode.REPORT)
GC = NewCheck(kind=CheckKind.GC, mode=Mode.REPAIR, bytes_per_second=5)
FINDING = Finding(code=FindingCode.CHUNK_MISSING, detail="No chunk is stored.", n=3)


async def _claimed(ports: Ports, check: Check) -> Check:
    claimed = await _claim(ports, check)
    assert claimed is not None
    return claimed


async def _claim(ports: Ports, check: Check) -> Check | None:
    return await ports.checks.claim(check.id, holder="worker", from_states=RUNNABLE, to_state=CheckState.RUNNING)


async def _now(ports: Ports, check: Check) -> Check:
    found = await ports.checks.get(check.id)
    assert found is not None
    return found


async def test_new_check_is_queued_as_it_was_ordered(ports: Ports) -> None:
    check, queued = await ports.checks.open(GC)
    assert queued
    assert (check.kind, check.mode, check.bytes_per_second) == (CheckKind.GC, Mode.REPAIR, 5)
    assert (check.state, check.queue, check.attempts, check.fence) == (CheckState.QUEUED, Queue.MAINTENANCE, 0, 0)
    assert await _now(ports, check) == check


async def test_same_check_is_opened_once_until_it_is_over(ports: Ports) -> None:
    check, _ = await ports.checks.open(FSCK)
    assert await ports.checks.open(FSCK) == (check, False)
    other, queued = await ports.checks.open(GC)
    assert (other.id != check.id, queued) == (True, True)
    claimed = await _claimed(ports, check)
    assert (await ports.checks.open(FSCK))[0].id == check.id
    await ports.checks.finish(claimed.lease, CheckState.DONE)
    again, queued = await ports.checks.open(FSCK)
    assert (again.id != check.id, queued) == (True, True)


async def test_checks_are_listed_newest_first_without_their_findings(ports: Ports) -> None:
    first, _ = await ports.checks.open(FSCK)
    claimed = await _claimed(ports, first)
    await ports.checks.finish(claimed.lease, CheckState.DONE, findings=(FINDING,), found=1)
    second, _ = await ports.checks.open(GC)
    page = await ports.checks.page(limit=2, before=None)
    assert [(check.id, check.found, check.findings) for check in page] == [(second.id, 0, ()), (first.id, 1, ())]
    assert [check.id for check in await ports.checks.page(limit=1, before=None)] == [second.id]
    assert [check.id for check in await ports.checks.page(limit=2, before=second.id)] == [first.id]
    assert (await _now(ports, first)).findings == (FINDING,)


async def test_paused_check_is_claimable_at_once_and_not_owed_a_hint(ports: Ports) -> None:
    check, _ = await ports.checks.open(FSCK)
    claimed = await _claimed(ports, check)
    cursor = Cursor(stage=Stage.CONTENTS, after="a" * 24)
    await ports.checks.pause(claimed.lease, cursor=cursor, checked_bytes=5)
    with pytest.raises(LeaseLost):
        await ports.checks.renew(claimed.lease)
    assert await ports.agenda.due(10) == []
    assert await ports.agenda.unanswered(Queue.MAINTENANCE, 10) == 1
    again = await _claimed(ports, check)
    assert (again.cursor, again.checked_bytes, again.fence) == (cursor, 5, claimed.fence + 1)


async def test_released_check_is_owed_a_hint_when_it_is_due(ports: Ports) -> None:
    check, _ = await ports.checks.open(FSCK)
    claimed = await _claimed(ports, check)
    await ports.checks.release(claimed.lease, CheckState.RUNNING, delay_seconds=0.1)
    (hint,) = await eventually(lambda: ports.agenda.due(10))
    assert (hint.task, hint.record_id, hint.queue) == (TaskName.RUN_CHECK, check.id, Queue.MAINTENANCE)


async def test_cancelled_check_stops_its_worker_and_frees_its_key(ports: Ports) -> None:
    check, _ = await ports.checks.open(FSCK)
    claimed = await _claimed(ports, check)
    cancelled = await ports.checks.move(check.id, CANCEL_CHECK)
    assert cancelled is not None
    assert cancelled.state is CheckState.CANCELLED
    with pytest.raises(LeaseLost):
        await ports.checks.pause(claimed.lease)
    assert await ports.checks.move(check.id, CANCEL_CHECK) is None
    assert await _claim(ports, check) is None
    assert (await ports.checks.open(FSCK))[1]


async def test_unknown_check_is_none(ports: Ports) -> None:
    assert await ports.checks.get(RecordId("f" * 24)) is None
