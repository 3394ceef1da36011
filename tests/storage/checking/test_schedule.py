"""The schedule opens each due check once, though several processes ask it."""

import asyncio
from collections.abc import Sequence

from gridhaul.storage.checking.checks import MongoChecks
from gridhaul.storage.checking.schedule import MongoSchedule
from gridhaul.storage.connect import Database
from gridhaul.transfer.checks import CANCEL_CHECK, Check, CheckKind, CheckState, Mode, NewCheck
from tests.contracts.ports import eventually

GC = NewCheck(kind=CheckKind.GC, mode=Mode.REPAIR)
SCRUB = NewCheck(kind=CheckKind.SCRUB, mode=Mode.REPORT, bytes_per_second=7)


def schedule(database: Database, gc_seconds: float) -> MongoSchedule:
    """Return the schedule that one process has."""
    return MongoSchedule(database, MongoChecks(database, lease_seconds=60), {GC: gc_seconds, SCRUB: 3600})


async def opened(*schedules: MongoSchedule) -> Sequence[Check]:
    """Return the checks that the schedules open when all ask at once."""
    return [check for checks in await asyncio.gather(*(one.open_due() for one in schedules)) for check in checks]


async def test_check_is_opened_once_when_its_time_has_come(database: Database) -> None:
    schedules = [schedule(database, 0.3) for _ in range(5)]
    assert await opened(*schedules) == []
    (check,) = await eventually(lambda: opened(*schedules))
    assert (check.kind, check.mode, check.state) == (CheckKind.GC, Mode.REPAIR, CheckState.QUEUED)


async def test_check_that_is_still_open_is_not_opened_again(database: Database) -> None:
    one, checks = schedule(database, 0.05), MongoChecks(database, lease_seconds=60)
    (first,) = await eventually(one.open_due)
    await asyncio.sleep(0.1)  # the time of the next check has come
    assert await one.open_due() == []
    await checks.move(first.id, CANCEL_CHECK)
    (second,) = await eventually(one.open_due)
    assert second.id != first.id


async def test_shorter_period_counts_from_the_next_start(database: Database) -> None:
    assert await schedule(database, 3600).open_due() == []
    soon = schedule(database, 0.05)
    assert len(await eventually(soon.open_due)) == 1


async def test_only_the_newest_of_what_is_over_is_kept(database: Database) -> None:
    checks = MongoChecks(database, lease_seconds=60)
    ids = []
    for _ in range(5):
        check, _ = await checks.open(GC)
        ids.append(check.id)
        await checks.move(check.id, CANCEL_CHECK)
    other, _ = await checks.open(SCRUB)
    await checks.forget(CheckKind.GC, keep=2)
    assert [check.id for check in await checks.page(limit=10, before=None)] == [other.id, ids[4], ids[3]]
