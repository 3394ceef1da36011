"""The suite of `CheckRegistry` and `RunnableChecks`."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from gridhaul.transfer.checks import CANCEL_CHECK, RUNNABLE, Check, CheckKind, CheckState, Cursor, Mode, NewCheck, Stage
from gridhaul.transfer.errors import LeaseLost
from gridhaul.transfer.findings import Finding, FindingCode
from gridhaul.transfer.model import Queue, RecordId, TaskName
from tests.contracts.ports import A_FILE, Ports, eventually

FSCK = NewCheck(kind=CheckKind.FSCK, mode=Mode.REPORT)
GC = NewCheck(kind=CheckKind.GC, mode=Mode.REPAIR, bytes_per_second=5)
SCRUB = NewCheck(kind=CheckKind.SCRUB, mode=Mode.REPORT)
OF_FILE = NewCheck(kind=CheckKind.FSCK, mode=Mode.REPAIR, file_id=A_FILE)
OTHER = RecordId("b" * 24)
A_CONTENT = RecordId("c" * 24)
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


async def test_checks_are_listed_by_kind_and_by_file(ports: Ports) -> None:
    orders = (FSCK, GC, replace(FSCK, file_id=A_FILE), SCRUB, replace(FSCK, file_id=OTHER), OF_FILE)
    made = [(await ports.checks.open(new))[0].id for new in orders]

    async def listed(**wanted: Any) -> list[int]:
        return [made.index(check.id) for check in await ports.checks.page(**{"limit": 10, "before": None, **wanted})]

    assert await listed(kind=CheckKind.FSCK) == [5, 4, 2, 0]
    assert await listed(kind=CheckKind.GC) == [1]
    assert await listed(file_id=A_FILE) == [5, 2]
    assert await listed(file_id=A_FILE, kind=CheckKind.FSCK) == [5, 2]
    assert await listed(file_id=A_FILE, kind=CheckKind.GC) == []
    assert await listed(kind=CheckKind.FSCK, limit=2) == [5, 4]
    assert await listed(kind=CheckKind.FSCK, before=made[4]) == [2, 0]
    assert await listed(file_id=A_FILE, before=made[5], limit=1) == [2]


async def _over(ports: Ports, new: NewCheck, *findings: Finding) -> Check:
    """Open a check and finish it with these findings."""
    check, _ = await ports.checks.open(new)
    claimed = await _claimed(ports, check)
    await ports.checks.finish(claimed.lease, CheckState.DONE, findings=findings, found=len(findings))
    return await _now(ports, check)


async def _about(ports: Ports, sealed_at: datetime | None = None) -> Check | None:
    return await ports.checks.newest_about(file_id=A_FILE, content_id=A_CONTENT, sealed_at=sealed_at)


async def test_newest_check_about_a_content_is_of_its_file_or_found_something_about_it(ports: Ports) -> None:
    about = replace(FINDING, content_id=A_CONTENT)
    assert await _about(ports) is None
    await _over(ports, FSCK, replace(FINDING, content_id=RecordId("d" * 24)))
    await _over(ports, replace(FSCK, file_id=OTHER))
    assert await _about(ports) is None
    for new, findings in ((OF_FILE, ()), (SCRUB, (FINDING, about)), (OF_FILE, (about,)), (FSCK, (about,))):
        newest = await _over(ports, new, *findings)
        await _over(ports, SCRUB)
        assert await _about(ports) == newest
    opened, _ = await ports.checks.open(OF_FILE)
    assert await _about(ports) == opened


async def test_check_of_a_file_is_not_about_a_content_that_was_sealed_later(ports: Ports) -> None:
    older = await _over(ports, OF_FILE)
    later = older.created_at + timedelta(milliseconds=1)
    assert await _about(ports, sealed_at=older.created_at) == older
    assert await _about(ports, sealed_at=later) is None
    found = await _over(ports, SCRUB, replace(FINDING, content_id=A_CONTENT))
    assert await _about(ports, sealed_at=found.created_at + timedelta(hours=1)) == found


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
