"""Counts of an account's files and deliveries by state."""

from dataclasses import replace

from gridhaul.transfer.batches import Group
from gridhaul.transfer.states import DELIVERY_MOVES, FILE_MOVES, Action, DeliveryState, FileState
from tests.contracts.ports import Ports, destination, new_delivery, new_file, registered


async def test_account_without_records_has_no_counts(ports: Ports) -> None:
    counts = await ports.account_counting.of_account("nobody")
    assert (counts.files, counts.deliveries) == ({}, {})
    assert counts.counted_at.tzinfo is not None


async def test_counts_and_bytes_are_by_state_and_of_one_account(ports: Ports) -> None:
    made = [await registered(ports, new_file(length=length)) for length in (1, 10, 100)]
    await registered(ports, replace(new_file(length=1000), owner="another"))
    await ports.files.move(made[1].id, FILE_MOVES[Action.CANCEL])
    opened = [(await ports.deliveries.open(new_delivery(destination(object_name=name))))[0] for name in "abc"]
    await ports.deliveries.open(replace(new_delivery(destination(object_name="d")), owner="another"))
    await ports.deliveries.move(opened[0].id, DELIVERY_MOVES[Action.PAUSE])
    counts = await ports.account_counting.of_account("operator")
    assert counts.files == {
        FileState.REGISTERED: Group(count=2, bytes=101),
        FileState.CANCELLED: Group(count=1, bytes=10),
    }
    assert counts.deliveries == {
        DeliveryState.QUEUED: Group(count=2, bytes=10),
        DeliveryState.PAUSED: Group(count=1, bytes=5),
    }
