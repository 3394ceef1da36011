"""A check reports what could not be removed from a target, and its repair cleans up again at once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gridhaul.storage.connect import Database
from gridhaul.storage.schema import make_registry_indexes
from gridhaul.transfer.checks import CheckKind, Mode
from gridhaul.transfer.findings import FindingCode, Outcome
from gridhaul.transfer.model import Delivery, Failure, File
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, Action, DeliveryState
from tests.tasks.check_bench import CheckBench, check_bench
from tests.tasks.test_check_records import delivered, of

WHY = Failure(code="target_refused", detail="The target answered 405.")


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[CheckBench]:
    async with check_bench(database, tmp_path) as bench:
        yield bench


async def _not_cleaned(bench: CheckBench, file: File, name: str = "run.h5") -> Delivery:
    """Return a delivery that failed and whose cleaning failed, too. Its only leftover lies at the target."""
    delivery, _ = await bench.deliveries.open(of(file, name))
    taken = await bench.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    left = (f".gridhaul-{delivery.id}-1.part",)
    await bench.deliveries.finish(taken.lease, DeliveryState.FAILED, leftovers=left, cleaning_error=WHY)
    (bench.disk / left[0]).write_bytes(b"part")
    return await _now(bench, delivery)


async def _now(bench: CheckBench, delivery: Delivery) -> Delivery:
    found = await bench.deliveries.get(delivery.id)
    assert found is not None
    return found


@pytest.mark.parametrize(("mode", "outcome"), [(Mode.REPORT, Outcome.FOUND), (Mode.DRY_RUN, Outcome.WOULD_REPAIR)])
async def test_leftovers_are_reported_with_their_names_and_the_reason(
    bench: CheckBench, mode: Mode, outcome: Outcome
) -> None:
    file, _ = await bench.stored(10)
    delivery = await _not_cleaned(bench, file)
    (finding,) = (await bench.check(mode=mode)).findings
    assert (finding.code, finding.outcome) == (FindingCode.LEFTOVERS_REMAIN, outcome)
    assert (finding.delivery_id, finding.file_id, finding.target) == (delivery.id, file.id, "disk")
    assert finding.detail == f"These names remain: {delivery.leftovers[0]}. target_refused: The target answered 405."
    assert await _now(bench, delivery) == delivery
    assert (bench.disk / delivery.leftovers[0]).exists()


async def test_repair_cleans_up_without_waiting_for_the_next_cleaning(bench: CheckBench) -> None:
    file, _ = await bench.stored(10)
    delivery = await _not_cleaned(bench, file)
    (finding,) = (await bench.check(mode=Mode.REPAIR)).findings
    assert (finding.code, finding.outcome) == (FindingCode.LEFTOVERS_REMAIN, Outcome.REPAIRED)
    clean = await _now(bench, delivery)
    assert (clean.state, clean.leftovers, clean.cleaning_error) == (DeliveryState.FAILED, (), None)
    assert not (bench.disk / delivery.leftovers[0]).exists()
    assert (await bench.check()).found == 0


async def test_repair_that_fails_says_why_and_the_delivery_stays_to_be_cleaned(bench: CheckBench) -> None:
    file, _ = await bench.stored(10)
    delivery = await _not_cleaned(bench, file)
    part = bench.disk / delivery.leftovers[0]
    part.unlink()
    part.mkdir()
    (finding,) = (await bench.check(mode=Mode.REPAIR)).findings
    left = await _now(bench, delivery)
    assert left.cleaning_error is not None
    assert left.cleaning_error.detail != WHY.detail
    assert (finding.outcome, finding.why_not) == (Outcome.NOT_REPAIRED, left.cleaning_error.detail)
    assert left.leftovers == delivery.leftovers
    again = (await bench.check()).findings
    assert [one.code for one in again] == [FindingCode.LEFTOVERS_REMAIN], "no other stage finds the same name"


async def _given_up(bench: CheckBench, file: File) -> Delivery:
    """Return a delivery whose cleaning was given up, because its target keeps a part under the final name."""
    delivery, _ = await bench.deliveries.open(of(file, "run.h5"))
    taken = await bench.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    assert await bench.deliveries.hold_name(taken.lease, "run.h5")
    await bench.deliveries.finish(taken.lease, DeliveryState.CANCELLED, final_touched=True, cleaning_error=WHY)
    (bench.disk / "run.h5").write_bytes(b"part")
    return await _now(bench, delivery)


async def test_object_that_was_given_up_is_never_removed_and_forgotten_once_it_is_gone(bench: CheckBench) -> None:
    file, _ = await bench.stored(10)
    delivery = await _given_up(bench, file)
    (finding,) = (await bench.check(mode=Mode.REPAIR)).findings
    assert finding.detail == "Its removal was given up. target_refused: The target answered 405."
    assert (finding.code, finding.outcome, finding.why_not) == ("leftovers_remain", "not_repaired", WHY.detail)
    assert (bench.disk / "run.h5").read_bytes() == b"part"
    (bench.disk / "run.h5").unlink()
    (finding,) = (await bench.check(mode=Mode.REPAIR)).findings
    assert finding.outcome is Outcome.REPAIRED
    assert (await _now(bench, delivery)).cleaning_error is None
    assert (await bench.check()).found == 0


async def test_object_that_was_given_up_is_forgotten_once_another_delivery_has_replaced_it(bench: CheckBench) -> None:
    file, _ = await bench.stored(10)
    other, _ = await bench.stored(11, name="other")
    given_up = await _given_up(bench, file)
    await delivered(bench, other, "run.h5")
    (finding,) = (await bench.check(mode=Mode.REPAIR)).findings
    assert (finding.code, finding.outcome) == (FindingCode.LEFTOVERS_REMAIN, Outcome.REPAIRED)
    assert (await _now(bench, given_up)).cleaning_error is None
    assert (bench.disk / "run.h5").stat().st_size == 11


async def test_every_delivery_that_is_not_cleaned_is_found_once(bench: CheckBench) -> None:
    file, _ = await bench.stored(10)
    other, _ = await bench.stored(10, name="other")
    theirs = [await _not_cleaned(bench, file, name) for name in ("one", "two", "three")]
    await _not_cleaned(bench, other, "four")
    assert (await bench.check()).counts == {"leftovers_remain": 4}
    of_one = (await bench.check(file_id=file.id)).findings
    assert sorted(finding.delivery_id or "" for finding in of_one) == sorted(one.id for one in theirs)
    assert (await bench.check(CheckKind.GC, Mode.REPAIR)).found == 0


async def test_delivery_queued_again_is_left_to_its_worker(bench: CheckBench) -> None:
    file, _ = await bench.stored(10)
    delivery = await _not_cleaned(bench, file)
    await bench.deliveries.move(delivery.id, DELIVERY_MOVES[Action.RETRY])
    assert (await bench.check(mode=Mode.REPAIR)).found == 0
    assert (bench.disk / delivery.leftovers[0]).exists()


async def test_deliveries_that_are_clean_are_not_read(bench: CheckBench) -> None:
    await make_registry_indexes(bench.database)
    wanted = {"cleaning_error": {"$exists": True}}
    await bench.database["deliveries"].insert_many([{"state": "DELIVERED"} for _ in range(200)])
    plan = await bench.database.command(
        "explain", {"find": "deliveries", "filter": wanted, "sort": {"_id": 1}, "limit": 1}, verbosity="executionStats"
    )
    assert plan["executionStats"]["totalDocsExamined"] == plan["executionStats"]["totalKeysExamined"] == 0
