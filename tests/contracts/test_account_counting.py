"""Counts of an account's files and deliveries by state, and of its files by media type."""

from collections.abc import Mapping
from dataclasses import replace

from gridhaul.transfer.batches import Group
from gridhaul.transfer.listing import TYPES_NAMED
from gridhaul.transfer.states import DELIVERY_MOVES, FILE_MOVES, Action, DeliveryState, FileState
from tests.contracts.ports import Ports, destination, new_delivery, new_file, registered, stored


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


async def test_account_without_files_has_no_types(ports: Ports) -> None:
    counts = await ports.account_counting.types_of_account("nobody")
    assert (counts.largest, counts.others) == ({}, Group(count=0, bytes=0))
    assert counts.counted_at.tzinfo is not None


async def test_types_with_the_most_bytes_are_first_and_the_rest_is_together(ports: Ports) -> None:
    for number in range(TYPES_NAMED + 3):
        await registered(ports, replace(new_file(length=number), content_type=f"type/{number}"))
    await registered(ports, replace(new_file(length=1000), content_type="type/0"))
    await registered(ports, replace(new_file(length=10**6), owner="another", content_type="foreign/type"))
    counts = await ports.account_counting.types_of_account("operator")
    assert [*counts.largest] == ["type/0", *(f"type/{number}" for number in range(TYPES_NAMED + 2, 3, -1))]
    assert counts.largest["type/0"] == Group(count=2, bytes=1000)
    assert counts.others == Group(count=3, bytes=1 + 2 + 3)


async def test_types_of_files_whose_bytes_are_deleted_do_not_count(ports: Ports) -> None:
    kept, deleted = await stored(ports, new_file(length=7)), await stored(ports, new_file(length=8))
    await ports.files.request_delete(deleted.id, deliveries_asked=0)
    taken = await ports.files.claim(
        deleted.id, holder="w", from_states=frozenset({FileState.DELETING}), to_state=FileState.DELETING
    )
    assert taken is not None
    assert sum(group.count for group in (await _types(ports)).values()) == 2
    await ports.files.finish(taken.lease, FileState.DELETED)
    assert await _types(ports) == {kept.content_type: Group(count=1, bytes=7)}


async def _types(ports: Ports) -> Mapping[str, Group]:
    return (await ports.account_counting.types_of_account("operator")).largest
