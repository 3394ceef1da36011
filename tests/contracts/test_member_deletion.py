"""The suite of `MemberDeletion`."""

import pytest

from gridhaul.transfer.errors import LeaseLost
from gridhaul.transfer.model import File, RecordId
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, Action, DeliveryState, FileState
from tests.contracts.ports import (
    A_BATCH,
    SHA256,
    Ports,
    claimed,
    destination,
    new_member,
    new_members_delivery,
    registered,
)

ANOTHER_BATCH = RecordId("d" * 24)
OVER = [FileState.STORED, FileState.FAILED, FileState.CANCELLED]


async def _ended(ports: Ports, name: str, state: FileState = FileState.STORED, *, deliver: bool = False) -> File:
    """Register a member, and end its first attempt in the state."""
    to = [destination(object_name=name)] if deliver else []
    file = await claimed(ports, await registered(ports, new_member(name, deliver_to=to)))
    await ports.files.finish(file.lease, state, sha256=SHA256 if state is FileState.STORED else None)
    return await _now(ports, file.id)


async def _now(ports: Ports, file_id: RecordId) -> File:
    file = await ports.files.get(file_id)
    assert file is not None
    return file


async def _begin(ports: Ports, *, limit: int = 100) -> tuple[list[RecordId], int]:
    """Begin to delete, and return the ids of the files that are being deleted, and how many are busy."""
    found = await ports.deletion.begin_delete(A_BATCH, limit=limit)
    assert {file.state for file in found.files} <= {FileState.DELETING}
    assert not any(file.history for file in found.files)
    return [file.id for file in found.files], found.busy


async def _deliver(ports: Ports, file: File) -> RecordId:
    """Open a delivery of the member."""
    to = new_members_delivery(file.name)
    delivery, _ = await ports.deliveries.open(type(to)(**{**_fields(to), "file_id": file.id}))
    return delivery.id


def _fields(record: object) -> dict[str, object]:
    return {name: getattr(record, name) for name in type(record).__slots__}  # type: ignore[attr-defined]


async def test_files_that_are_over_are_deleted_and_others_stay(ports: Ports) -> None:
    over = [await _ended(ports, state, state) for state in OVER]
    open_ones = [await registered(ports, new_member("waiting")), await claimed(ports, await registered(ports, new_member("held")))]
    other = await registered(ports, new_member("a", batch_id=ANOTHER_BATCH))
    assert await _begin(ports) == ([file.id for file in reversed(over)], 0)
    assert [(await _now(ports, file.id)).state for file in (*open_ones, other)] == [
        FileState.REGISTERED,
        FileState.STORING,
        FileState.REGISTERED,
    ]
