"""A delivery whose object was lost is delivered again, and never takes what has the name since for its own."""

from dataclasses import replace
from pathlib import Path

import pytest

from gridhaul.transfer.model import Delivery, Failure, IfExists
from gridhaul.transfer.states import DELIVERY_MOVES, Action, DeliveryState
from tests.servers.http_store import HttpStore
from tests.tasks.delivery_bench import NAME, OLD, Bench, code_of

LOST = Failure(code="object_missing", detail="No object is under the name.")


def _folder(bench: Bench, web: HttpStore, target: str) -> Path:
    return web.directory if target == "web" else bench.disk


async def _lost(bench: Bench, folder: Path, target: str, if_exists: IfExists = IfExists.FAIL) -> Delivery:
    """Deliver, remove the object, and mark the delivery as a check does."""
    delivered = await bench.deliver(b"new", target, if_exists=if_exists)
    assert delivered.state is DeliveryState.DELIVERED
    (folder / NAME).unlink()
    bench.row.record = replace(delivered, object_error=LOST)
    return bench.row.record


async def _retried(bench: Bench, lost: Delivery) -> Delivery:
    assert await bench.deliveries.move(lost.id, DELIVERY_MOVES[Action.RETRY]) is not None
    return await bench.attempt(lost)


@pytest.mark.parametrize("target", ["web", "disk"])
async def test_lost_object_is_delivered_again_and_its_first_receipt_stays(
    bench: Bench, web: HttpStore, target: str
) -> None:
    folder = _folder(bench, web, target)
    lost = await _lost(bench, folder, target)
    again = await _retried(bench, lost)
    assert (again.state, again.object_error, again.sent_bytes) == (DeliveryState.DELIVERED, None, 3)
    assert (folder / NAME).read_bytes() == b"new"
    (former,) = again.former_receipts
    assert (former.receipt, former.ended_at, former.object_error) == (lost.receipt, lost.ended_at, LOST)
    assert again.receipt is not None
    assert again.receipt.attempts == 2


@pytest.mark.parametrize("found", [OLD, b"NEW", b"ne"])
@pytest.mark.parametrize("target", ["web", "disk"])
async def test_object_that_somebody_put_there_since_is_not_taken_for_ours(
    bench: Bench, web: HttpStore, target: str, found: bytes
) -> None:
    folder = _folder(bench, web, target)
    lost = await _lost(bench, folder, target)
    (folder / NAME).write_bytes(found)
    again = await _retried(bench, lost)
    assert (again.state, code_of(again)) == (DeliveryState.FAILED, "object_exists")
    assert (folder / NAME).read_bytes() == found
    assert [former.receipt for former in again.former_receipts] == [lost.receipt]
    await bench.clean(again)
    assert (folder / NAME).read_bytes() == found


async def test_object_of_somebody_else_that_cannot_be_compared_is_not_taken_for_ours(
    bench: Bench, web: HttpStore
) -> None:
    lost = await _lost(bench, web.directory, "web")
    (web.directory / NAME).write_bytes(b"NEW")
    await bench.deliveries.move(lost.id, DELIVERY_MOVES[Action.RETRY])
    web.answers = [(200, {"Content-Length": "3"}), (405, {})]
    again = await bench.attempt(lost)
    assert (again.state, code_of(again)) == (DeliveryState.FAILED, "object_exists")
    assert (web.directory / NAME).read_bytes() == b"NEW"


@pytest.mark.parametrize("target", ["web", "disk"])
async def test_right_bytes_that_are_back_are_not_sent_again(bench: Bench, web: HttpStore, target: str) -> None:
    folder = _folder(bench, web, target)
    lost = await _lost(bench, folder, target)
    (folder / NAME).write_bytes(b"new")
    puts = len([request for request in web.requests if request.startswith("PUT")])
    again = await _retried(bench, lost)
    assert (again.state, len(again.former_receipts)) == (DeliveryState.DELIVERED, 1)
    assert len([request for request in web.requests if request.startswith("PUT")]) == puts


async def test_lost_object_under_the_policy_rename_gets_its_wanted_name_if_that_is_free(
    bench: Bench, web: HttpStore
) -> None:
    (bench.disk / NAME).write_bytes(OLD)
    delivered = await bench.deliver(b"new", "disk", if_exists=IfExists.RENAME)
    assert delivered.final_name == "run (1).h5"
    for name in (NAME, "run (1).h5"):
        (bench.disk / name).unlink()
    bench.row.record = replace(delivered, object_error=LOST)
    again = await _retried(bench, delivered)
    assert (again.state, again.final_name) == (DeliveryState.DELIVERED, NAME)
    assert (bench.disk / NAME).read_bytes() == b"new"


async def test_file_that_was_deleted_meanwhile_fails_the_retry_with_that_reason(bench: Bench, web: HttpStore) -> None:
    lost = await _lost(bench, bench.disk, "disk")
    await bench.files.request_delete(lost.file_id, deliveries_asked=0)
    again = await _retried(bench, lost)
    assert (again.state, code_of(again)) == (DeliveryState.FAILED, "file_deleted")
    assert [former.receipt for former in again.former_receipts] == [lost.receipt]
