"""Objects that are read back at a target: what the delivery's record shows meanwhile, and how a reading is stopped."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from gridhaul.targets.directory import DirectoryTarget
from gridhaul.transfer.model import Delivery, IfExists, Lease, RemoteObject
from gridhaul.transfer.naming import is_temporary
from gridhaul.transfer.ports.targets import Checked
from gridhaul.transfer.states import DELIVERY_MOVES, Action, DeliveryState
from tasks import attempt
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import eventually
from tests.tasks.delivery_bench import NAME, Bench
from tests.tasks.worker_parts import only

LENGTH = 20 * MIB


class Halting(DirectoryTarget):
    """A directory target whose readings stand still when they come to `halt_at` bytes, until `go_on` is set."""

    halt_at = 8 * MIB

    def __init__(self, bench: Bench) -> None:
        super().__init__(name="disk", path=bench.disk)
        self.halted, self.go_on = asyncio.Event(), asyncio.Event()

    async def read_back(self, name: str, *, length: int, sha256: str, checked: Checked) -> RemoteObject | None:
        checked(self.halt_at)
        self.halted.set()
        await self.go_on.wait()
        return await super().read_back(name, length=length, sha256=sha256, checked=checked)


@pytest.fixture
def halting(bench: Bench) -> Halting:
    target = Halting(bench)
    bench.runtime = replace(bench.runtime, targets=only(target))
    return target


async def shown(bench: Bench, checked_bytes: int) -> Delivery:
    """Return the delivery's record once it shows these checked bytes."""

    async def record() -> Delivery | None:
        found = bench.row.record
        return found if found.checked_bytes == checked_bytes else None

    found = await eventually(record)
    assert found is not None
    return found


async def test_reading_shows_how_far_it_has_come_and_nothing_afterwards(bench: Bench, halting: Halting) -> None:
    delivering = asyncio.create_task(bench.deliver(some_bytes(LENGTH), "disk"))
    await halting.halted.wait()
    during = await shown(bench, halting.halt_at)
    assert (during.state, during.sent_bytes) == (DeliveryState.STREAMING, LENGTH)
    halting.go_on.set()
    delivery = await delivering
    assert (delivery.state, delivery.sent_bytes, delivery.checked_bytes) == (DeliveryState.DELIVERED, LENGTH, 0)


async def test_reading_before_the_first_byte_is_sent_is_shown_and_is_over_when_bytes_are_sent(
    bench: Bench, halting: Halting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "PROGRESS_SECONDS", 0.0)
    seen = list[tuple[int, int]]()
    real = bench.deliveries.renew

    async def noted(lease: Lease, **changes: Any) -> None:
        if "checked_bytes" in changes:
            seen.append((changes["sent_bytes"], changes["checked_bytes"]))
        await real(lease, **changes)

    bench.deliveries.renew = noted  # type: ignore[method-assign]
    (bench.disk / NAME).write_bytes(bytes(LENGTH))
    delivering = asyncio.create_task(bench.deliver(some_bytes(LENGTH), "disk", if_exists=IfExists.OVERWRITE))
    await halting.halted.wait()
    during = await shown(bench, halting.halt_at)
    assert (during.state, during.sent_bytes) == (DeliveryState.STREAMING, 0)
    halting.go_on.set()
    delivery = await delivering
    assert delivery.state is DeliveryState.DELIVERED
    assert not [one for one in seen if 0 < one[0] < LENGTH and one[1]]


async def test_bytes_that_were_read_back_are_no_progress_of_the_attempt(bench: Bench, halting: Halting) -> None:
    (bench.disk / NAME).write_bytes(some_bytes(LENGTH))
    delivery = await bench.open(some_bytes(LENGTH), "disk")
    bench.row.record = replace(delivery, fruitless_attempts=1)
    delivering = asyncio.create_task(bench.attempt(delivery))
    await halting.halted.wait()
    during = await shown(bench, halting.halt_at)
    assert (during.fruitless_attempts, during.sent_bytes_most, during.rate) == (2, 0, None)
    halting.go_on.set()
    assert (await delivering).state is DeliveryState.DELIVERED


@pytest.mark.alone
@pytest.mark.parametrize("action", [Action.CANCEL, Action.PAUSE])
async def test_reading_of_a_delivery_that_is_stopped_ends_within_a_second_or_two(
    bench: Bench, halting: Halting, action: Action
) -> None:
    delivering = asyncio.create_task(bench.deliver(some_bytes(LENGTH), "disk"))
    await halting.halted.wait()
    moved = await bench.deliveries.move(bench.row.record.id, DELIVERY_MOVES[action])
    stopped_at = time.monotonic()
    assert await delivering == moved
    assert time.monotonic() - stopped_at < 2.5
    assert not (bench.disk / NAME).exists()


async def test_object_that_stands_for_a_stopped_reading_is_left_to_the_cleaning(bench: Bench, halting: Halting) -> None:
    delivering = asyncio.create_task(bench.deliver(some_bytes(LENGTH), "disk"))
    await halting.halted.wait()
    await bench.deliveries.move(bench.row.record.id, DELIVERY_MOVES[Action.CANCEL])
    delivery = await delivering
    assert [is_temporary(name) for name in delivery.leftovers] == [True]
