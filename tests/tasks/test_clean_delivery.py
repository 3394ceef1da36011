"""Leftovers of a finished delivery are removed from its target, however long that takes, and nothing else is."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gridhaul.transfer.model import Content, Delivery, IfExists
from gridhaul.transfer.ports.contents import Chunks
from gridhaul.transfer.states import DELIVERY_MOVES, Action, DeliveryState
from tasks import attempt
from tasks.finalize_file import deliver_file
from tests.contracts.altered_chunks import StuckChunks
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import eventually
from tests.delivered import objects_in
from tests.servers.http_store import HttpStore
from tests.tasks.delivery_bench import NAME, OLD, Bench, Damaged, code_of

pytestmark = pytest.mark.alone  # how soon a worker stops is measured

DATA = some_bytes(3 * MIB)


@pytest.fixture(autouse=True)
def _soon_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a worker stop soon after a cancel. `test_finalize_file` measures how soon it stops at its own pace."""
    monkeypatch.setattr(attempt, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(attempt, "LEASE_LOOK_SECONDS", 0.02)


class Stuck(Damaged):
    """Contents of which only the first chunk can be read."""

    def read(self, content: Content) -> Chunks:
        return StuckChunks(super().read(content))


async def _stopped(bench: Bench, to: str, *, if_exists: IfExists = IfExists.FAIL) -> Delivery:
    """Return a delivery that was cancelled while a part was at the target and the rest was not yet sent."""
    bench.contents.__class__ = Stuck
    delivering = asyncio.create_task(bench.deliver(DATA, to, if_exists=if_exists))

    async def asked() -> bool:
        return _has_part(place)

    place = bench.disk if to == "disk" else bench.disk.parent / "web"
    async with asyncio.timeout(20):
        await eventually(asked)
        await bench.deliveries.move(bench.row.record.id, DELIVERY_MOVES[Action.CANCEL])
        cancelled_at = time.monotonic()
        delivery = await delivering
    assert time.monotonic() - cancelled_at < 2.5, "the worker did not stop within about a second"
    assert delivery.state is DeliveryState.CANCELLED
    bench.contents.__class__ = Damaged
    return delivery


def _has_part(place: Path) -> bool:
    with suppress(FileNotFoundError):  # a name of the probe was removed just now
        return any(path.stat().st_size == MIB for path in objects_in(place))
    return False


async def test_temporary_object_of_a_cancelled_delivery_is_removed(bench: Bench) -> None:
    delivery = await _stopped(bench, "disk")
    (left,) = objects_in(bench.disk)
    assert delivery.leftovers == (left.name,)
    clean = await bench.clean(delivery)
    assert (clean.state, clean.leftovers, clean.ended_at) == (DeliveryState.CANCELLED, (), delivery.ended_at)
    assert not objects_in(bench.disk)
    assert await bench.clean(delivery) == clean, "the delivery is cleaned only once"


async def test_part_that_a_cancelled_delivery_left_under_the_final_name_is_removed(
    bench: Bench, web: HttpStore
) -> None:
    delivery = await _stopped(bench, "web")
    row = bench.row
    assert row.claimed == ("web", NAME)
    assert await bench.clean(delivery) == delivery, "a worker may go on until its lease ends"
    row.lease_until = None
    clean = await bench.clean(delivery)
    assert (clean.leftovers, clean.final_touched, bench.row.claimed) == ((), False, None)
    assert not (web.directory / NAME).exists()


async def test_what_was_there_before_is_never_removed(bench: Bench, web: HttpStore) -> None:
    (web.directory / NAME).write_bytes(OLD)
    delivery = await _stopped(bench, "web", if_exists=IfExists.OVERWRITE)
    (web.directory / NAME).write_bytes(OLD)  # the server dropped the part and kept the old object
    bench.row.lease_until = None
    clean = await bench.clean(delivery)
    assert (clean.leftovers, clean.final_touched) == ((), False)
    assert (web.directory / NAME).read_bytes() == OLD


async def test_larger_object_that_somebody_put_under_the_name_since_is_never_removed(
    bench: Bench, web: HttpStore
) -> None:
    delivery = await _stopped(bench, "web")
    (web.directory / NAME).write_bytes(DATA + b"of somebody else")
    bench.row.lease_until = None
    clean = await bench.clean(delivery)
    assert (clean.leftovers, clean.final_touched, bench.row.claimed) == ((), False, None)
    assert (web.directory / NAME).read_bytes() == DATA + b"of somebody else"
    await bench.deliveries.move(delivery.id, DELIVERY_MOVES[Action.RETRY])
    assert code_of(await bench.attempt(delivery)) == "object_exists"


async def test_target_that_can_only_be_written_to_is_left_alone(bench: Bench, web: HttpStore) -> None:
    delivery = await _stopped(bench, "web")
    bench.row.lease_until, web.write_only = None, True
    clean = await bench.clean(delivery)
    assert (clean.leftovers, clean.final_touched, bench.row.claimed) == ((), True, None)
    assert not [request for request in web.requests if request.startswith("DELETE")]


@pytest.mark.parametrize(("status", "code"), [(503, "target_unavailable"), (401, "target_refused")])
async def test_cleaning_that_fails_is_due_again_and_the_record_says_why(
    bench: Bench, web: HttpStore, status: int, code: str
) -> None:
    bench.contents.damaged = 1
    web.answers = [(404, {}), (503, {}), (503, {})]
    delivery = await bench.deliver(DATA, "web")
    assert (delivery.state, delivery.leftovers) == (DeliveryState.FAILED, (NAME,))
    for _ in range(3):
        web.answers = [(status, {})] * 5
        failed = await bench.clean(delivery)
        assert (failed.state, failed.error, failed.rate) == (delivery.state, delivery.error, delivery.rate)
        assert (failed.leftovers, failed.ended_at) == ((NAME,), delivery.ended_at)
        assert failed.cleaning_error is not None
        assert failed.cleaning_error.code == code
        assert bench.row.next_attempt_at is not None
        assert bench.row.claimed == ("web", NAME)
    web.answers = []
    clean = await bench.clean(delivery)
    assert (clean.leftovers, bench.row.next_attempt_at, bench.row.claimed) == ((), None, None)
    assert (code_of(clean), clean.cleaning_error) == (code_of(delivery), None)


async def test_delivered_one_has_what_its_earlier_attempts_left_removed(bench: Bench) -> None:
    """A worker of an earlier attempt stood still, wakes up, and makes its temporary object again."""
    delivery = await _stopped(bench, "disk")
    (left,) = objects_in(bench.disk)
    await bench.deliveries.move(delivery.id, DELIVERY_MOVES[Action.RETRY])
    await deliver_file(bench.runtime, delivery.id)
    delivered = await bench.now(delivery)
    assert (delivered.state, delivered.leftovers) == (DeliveryState.DELIVERED, (left.name,))
    assert [path.name for path in objects_in(bench.disk)] == [NAME]
    left.write_bytes(b"late")
    clean = await bench.clean(delivered)
    assert (clean.state, clean.leftovers, clean.receipt) == (DeliveryState.DELIVERED, (), delivered.receipt)
    assert [path.name for path in objects_in(bench.disk)] == [NAME]


async def test_delivery_at_the_first_attempt_leaves_nothing_to_clean(bench: Bench) -> None:
    delivered = await bench.deliver(DATA, "disk")
    assert delivered.leftovers == ()
    assert await bench.clean(delivered) == delivered


async def test_target_that_is_no_longer_configured_is_asked_for_again_later(bench: Bench) -> None:
    delivery = await _stopped(bench, "disk")
    bench.row.record = replace(delivery, target="gone")
    failed = await bench.clean(delivery)
    assert (failed.state, failed.error, len(failed.leftovers)) == (DeliveryState.CANCELLED, None, 1)
    assert failed.cleaning_error is not None
    assert failed.cleaning_error.code == "target_unknown"
    assert bench.row.next_attempt_at is not None
