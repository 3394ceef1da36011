"""The suite of `WaitingOwners`."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import replace

from gridhaul.transfer.batches import Token
from gridhaul.transfer.bundle import BUNDLE_FILES, BUNDLED_FILE_BYTES
from gridhaul.transfer.model import Hint, Queue, RecordId, TaskName
from tests.contracts.ports import (
    A_BATCH,
    Ports,
    claimed,
    destination,
    eventually,
    new_delivery,
    new_file,
    new_member,
    registered,
)

LONG = BUNDLED_FILE_BYTES + 1


async def _file_of(ports: Ports, owner: str, *, queue: Queue = Queue.SMALL, length: int = 5) -> RecordId:
    file = await registered(ports, replace(new_file(length=length), owner=owner, queue=queue))
    return file.id


async def _a_moment_passes() -> None:
    """Let the database's clock, which has milliseconds, move on."""
    began_at = time.monotonic()

    async def passed() -> bool:
        return time.monotonic() > began_at + 0.01

    await eventually(passed)


async def _next(
    ports: Ports, *, queue: Queue = Queue.SMALL, after: str = "", instead_of: str = ""
) -> tuple[str, Sequence[Hint]]:
    found = await ports.waiting_owners.next(queue, after=after, instead_of=instead_of)
    assert found is not None
    return found


async def _owners(ports: Ports, turns: int, *, instead_of: str = "") -> list[str]:
    """Return the owners of so many turns, each after the one before."""
    owners = [""]
    for _ in range(turns):
        owner, _ = await _next(ports, after=owners[-1], instead_of=instead_of)
        owners.append(owner)
    return owners[1:]


async def test_owners_take_turns_in_the_order_of_their_names(ports: Ports) -> None:
    for owner in ("carl", "anna", "berta", "anna", "anna"):
        await _file_of(ports, owner)
    assert await _owners(ports, 5) == ["anna", "berta", "carl", "anna", "berta"]


async def test_owner_that_is_left_out_never_has_a_turn(ports: Ports) -> None:
    for owner in ("carl", "anna", "berta"):
        await _file_of(ports, owner)
    for left_out in ("anna", "berta", "carl"):
        others = sorted({"anna", "berta", "carl"} - {left_out})
        assert await _owners(ports, 4, instead_of=left_out) == others * 2


async def test_nobody_has_a_turn_when_nobody_else_waits(ports: Ports) -> None:
    await _file_of(ports, "anna")
    assert await ports.waiting_owners.next(Queue.SMALL, after="anna", instead_of="anna") is None
    assert await ports.waiting_owners.next(Queue.LARGE, after="", instead_of="") is None


async def test_turn_is_the_work_that_was_hinted_longest_ago_of_any_kind(ports: Ports) -> None:
    delivery, _ = await ports.deliveries.open(new_delivery(destination()))
    await _a_moment_passes()
    (lane,) = await ports.lanes.wake(A_BATCH, "operator", [Queue.SMALL])
    await _a_moment_passes()
    alone = await _file_of(ports, "operator", length=LONG)
    for_delivery = Hint(task=TaskName.FINALIZE_FILE, record_id=delivery.id, queue=Queue.SMALL)
    assert await _next(ports) == ("operator", [for_delivery])
    await ports.deliveries.claim_plain([delivery.id], holder="worker")
    assert await _next(ports) == ("operator", [lane])
    await _a_moment_passes()
    await ports.lanes.take(Token(lane.record_id))  # the next message of the lane is hinted now
    for_file = Hint(task=TaskName.UPLOAD_FILE, record_id=alone, queue=Queue.SMALL)
    assert await _next(ports) == ("operator", [for_file])


async def test_new_small_files_of_an_owner_have_one_turn_together(ports: Ports) -> None:
    bundle = [await _file_of(ports, "anna"), await _file_of(ports, "anna")]
    await _file_of(ports, "anna", length=LONG)
    await _file_of(ports, "berta")
    bundle.append(await _file_of(ports, "anna"))
    owner, hints = await _next(ports)
    assert owner == "anna"
    assert [hint.record_id for hint in hints] == bundle
    assert {hint.task for hint in hints} == {TaskName.STORE_BUNDLE}


async def test_turn_has_no_more_files_than_a_bundle(ports: Ports) -> None:
    ids = [await _file_of(ports, "anna") for _ in range(BUNDLE_FILES + 1)]
    _, hints = await _next(ports)
    assert [hint.record_id for hint in hints] == ids[:BUNDLE_FILES]


async def test_queues_have_turns_of_their_own(ports: Ports) -> None:
    await _file_of(ports, "anna")
    large = await _file_of(ports, "berta", queue=Queue.LARGE)
    owner, (hint,) = await _next(ports, queue=Queue.LARGE)
    assert (owner, hint.record_id, hint.queue) == ("berta", large, Queue.LARGE)


async def test_record_that_is_claimed_or_not_hinted_has_no_turn(ports: Ports) -> None:
    await claimed(ports, await registered(ports))
    (lane,) = await ports.lanes.wake(A_BATCH, "anna", [Queue.SMALL])
    taken = await ports.lanes.take(Token(lane.record_id))
    assert taken is not None
    assert await ports.lanes.rest(taken, None)
    assert await ports.waiting_owners.next(Queue.SMALL, after="", instead_of="") is None


async def test_members_have_their_turn_through_their_lane(ports: Ports) -> None:
    await ports.members.insert([new_member("a"), new_member("b")])
    assert await ports.waiting_owners.next(Queue.SMALL, after="", instead_of="") is None
    (lane,) = await ports.lanes.wake(A_BATCH, "operator", [Queue.SMALL])
    assert await _next(ports) == ("operator", [lane])


async def test_turns_change_nothing_so_they_can_be_asked_for_again(ports: Ports) -> None:
    await _file_of(ports, "anna")
    turns = [await _next(ports) for _ in range(3)]
    assert all(one == another for one, another in itertools.pairwise(turns))


async def test_turn_has_all_small_deliveries_of_the_owner_and_one_large(ports: Ports) -> None:
    small = [new_delivery(destination(object_name=name)) for name in "abc"]
    large = new_delivery(destination("mirror"), queue=Queue.LARGE)
    for one in (*small, large):
        await ports.deliveries.make_all([replace(one, owner="anna")])
        await _a_moment_passes()
    _, hints = await _next(ports)
    assert [hint.record_id for hint in hints] == [one.id for one in small]
    assert {hint.task for hint in hints} == {TaskName.FINALIZE_FILE}
    _, hints = await _next(ports, queue=Queue.LARGE)
    assert [hint.record_id for hint in hints] == [large.id]
