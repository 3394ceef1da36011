"""The suite of `StoreMeasuring`: the orphans of the newest finished check. Only a real server tells sizes."""

from collections.abc import Mapping

from gridhaul.transfer.checks import RUNNABLE, Check, CheckKind, CheckState, Mode, NewCheck
from gridhaul.transfer.findings import FindingCode
from gridhaul.transfer.store_size import Orphans
from tests.contracts.ports import Ports

COUNTS = {
    FindingCode.CHUNKS_ORPHANED.value: 1,
    FindingCode.INLINE_ORPHANED.value: 2,
    FindingCode.MANIFEST_ORPHANED.value: 3,
    FindingCode.BUCKET_FILE_ORPHANED.value: 4,
    FindingCode.CONTENT_UNREFERENCED.value: 5,
    FindingCode.USAGE_WRONG.value: 6,
}


async def running(ports: Ports, kind: CheckKind) -> Check:
    opened, _ = await ports.checks.open(NewCheck(kind=kind, mode=Mode.REPAIR))
    check = await ports.checks.claim(opened.id, holder="worker", from_states=RUNNABLE, to_state=CheckState.RUNNING)
    assert check is not None
    return check


async def ended(ports: Ports, kind: CheckKind, state: CheckState, counts: Mapping[str, int]) -> Check:
    check = await running(ports, kind)
    await ports.checks.finish(check.lease, state, counts=counts)
    found = await ports.checks.get(check.id)
    assert found is not None
    return found


async def test_without_a_finished_gc_check_nobody_knows_of_orphans(ports: Ports) -> None:
    await ended(ports, CheckKind.FSCK, CheckState.DONE, COUNTS)
    await ended(ports, CheckKind.GC, CheckState.FAILED, COUNTS)
    await running(ports, CheckKind.GC)
    size = await ports.store_measuring.measure()
    assert size.orphans is None
    assert size.measured_at.tzinfo is not None


async def test_orphans_are_those_that_the_newest_finished_gc_check_counted(ports: Ports) -> None:
    await ended(ports, CheckKind.GC, CheckState.DONE, {})
    newest = await ended(ports, CheckKind.GC, CheckState.DONE, COUNTS)
    await running(ports, CheckKind.GC)
    assert (await ports.store_measuring.measure()).orphans == Orphans(
        check_id=newest.id,
        mode=Mode.REPAIR,
        checked_at=newest.updated_at,
        chunks=1,
        inline=2,
        manifests=3,
        bucket_files=4,
        unreferenced=5,
    )


async def test_check_that_found_nothing_says_that_there_are_no_orphans(ports: Ports) -> None:
    await ended(ports, CheckKind.GC, CheckState.DONE, COUNTS)
    await ended(ports, CheckKind.GC, CheckState.DONE, {})
    orphans = (await ports.store_measuring.measure()).orphans
    assert orphans is not None
    assert (orphans.chunks, orphans.inline, orphans.manifests, orphans.bucket_files, orphans.unreferenced) == (0,) * 5
