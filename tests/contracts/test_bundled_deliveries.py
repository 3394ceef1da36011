"""The suite of the methods of the delivery port that act on many plain deliveries at once, and of reading whole."""

import asyncio
from dataclasses import replace

import pytest

from gridhaul.transfer.bundle import BUNDLED_DELIVERY_BYTES
from gridhaul.transfer.model import CheckedObject, Delivery, Evidence, IfExists, NewDelivery, RecordId
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, Action, DeliveryState
from tests.contracts.bytes_to_store import sealed, some_bytes
from tests.contracts.ports import Ports, destination, eventually, new_delivery, registered

QUEUED, DELIVERED = DeliveryState.QUEUED, DeliveryState.DELIVERED


def _new(number: int, **to: object) -> NewDelivery:
    named = {"object_name": f"run/{number}.h5", **to}
    return new_delivery(destination(**named), file_id=RecordId(f"{number:024x}"))  # type: ignore[arg-type]


async def _queued(ports: Ports, *numbers: int) -> list[RecordId]:
    return [(await ports.deliveries.open(_new(number)))[0].id for number in numbers]


async def _now(ports: Ports, delivery_id: RecordId) -> Delivery:
    delivery = await ports.deliveries.get(delivery_id)
    assert delivery is not None
    return replace(delivery, history=())


async def _claim(ports: Ports, delivery_id: RecordId) -> Delivery | None:
    streaming = DeliveryState.STREAMING
    return await ports.deliveries.claim(delivery_id, holder="other", from_states=DELIVERABLE, to_state=streaming)


async def test_plain_deliveries_are_claimed(ports: Ports) -> None:
    ids = await _queued(ports, 1, 2, 3)
    claimed = await ports.deliveries.claim_plain([*ids, RecordId("f" * 24)], holder="worker")
    assert {one.id for one in claimed} == set(ids)
    for one in claimed:
        assert replace(one, history=()) == await _now(ports, one.id)
        counts = (one.fence, one.attempts, one.fruitless_attempts)
        assert (one.state, *counts) == (DeliveryState.STREAMING, 1, 1, 1)
        await ports.deliveries.require(one.lease)


async def test_many_at_once_claim_each_delivery_once(ports: Ports) -> None:
    ids = await _queued(ports, 1, 2, 3, 4)
    claims = await asyncio.gather(*(ports.deliveries.claim_plain(ids, holder="worker") for _ in range(5)))
    assert sorted(one.id for claim in claims for one in claim) == sorted(ids)


@pytest.mark.parametrize("policy", [IfExists.OVERWRITE, IfExists.RENAME])
async def test_delivery_with_another_policy_is_not_claimed(ports: Ports, policy: IfExists) -> None:
    delivery, _ = await ports.deliveries.open(_new(1, if_exists=policy))
    assert not await ports.deliveries.claim_plain([delivery.id], holder="worker")


async def test_delivery_that_is_too_large_is_not_claimed(ports: Ports) -> None:
    fits, _ = await ports.deliveries.open(replace(_new(1), length=BUNDLED_DELIVERY_BYTES))
    too_large, _ = await ports.deliveries.open(replace(_new(2), length=BUNDLED_DELIVERY_BYTES + 1))
    claimed = await ports.deliveries.claim_plain([fits.id, too_large.id], holder="worker")
    assert [one.id for one in claimed] == [fits.id]


@pytest.mark.parametrize(
    "left",
    [
        {"leftovers": (".gridhaul-x-1.part",)},
        {"final_touched": True},
        {"checked": CheckedObject(temporary_name="t", tag="1", evidence=Evidence.SIZE)},
    ],
)
async def test_delivery_that_may_have_something_at_its_target_is_not_claimed(
    ports: Ports, left: dict[str, object]
) -> None:
    (delivery_id,) = await _queued(ports, 1)
    taken = await _claim(ports, delivery_id)
    assert taken is not None
    await ports.deliveries.release(taken.lease, QUEUED, delay_seconds=0, fruitless_attempts=0, **left)
    assert not await ports.deliveries.claim_plain([delivery_id], holder="worker")


async def test_delivery_whose_last_attempt_was_fruitless_is_not_claimed(ports: Ports) -> None:
    (delivery_id,) = await _queued(ports, 1)
    taken = await _claim(ports, delivery_id)
    assert taken is not None
    await ports.deliveries.release(taken.lease, QUEUED, delay_seconds=0)
    assert not await ports.deliveries.claim_plain([delivery_id], holder="worker")


async def test_names_are_held_unless_another_delivery_has_them(ports: Ports) -> None:
    ids = await _queued(ports, 1, 2)
    rival, _ = await ports.deliveries.open(replace(_new(2), file_id=RecordId("e" * 24)))
    taken = await _claim(ports, rival.id)
    assert taken is not None
    assert await ports.deliveries.hold_name(taken.lease, rival.object_name)
    claimed = {one.id: one for one in await ports.deliveries.claim_plain(ids, holder="worker")}
    holding = await ports.deliveries.hold_names({one.lease: (f"t{one.id}",) for one in claimed.values()})
    assert holding == {ids[0]}
    held = await _now(ports, ids[0])
    assert (held.final_name, held.leftovers) == (held.object_name, (f"t{ids[0]}",))
    assert (await _now(ports, ids[1])).final_name is None
    await ports.deliveries.require(claimed[ids[1]].lease)


async def test_delivery_that_an_operator_moved_is_passed_over(ports: Ports) -> None:
    ids = await _queued(ports, 1, 2)
    claimed = {one.id: one for one in await ports.deliveries.claim_plain(ids, holder="worker")}
    leases = [one.lease for one in claimed.values()]
    assert await ports.deliveries.held(leases) == set(ids)
    await ports.deliveries.move(ids[1], DELIVERY_MOVES[Action.CANCEL])
    moved = await _now(ports, ids[1])
    committing = {lease: {"state": DeliveryState.COMMITTING} for lease in leases}
    assert await ports.deliveries.held(leases) == {ids[0]}
    assert await ports.deliveries.hold_names(dict.fromkeys(leases, ())) == {ids[0]}
    assert await ports.deliveries.renew_all(committing) == {ids[0]}
    await ports.deliveries.finish_all({lease: {"sent_bytes": 5} for lease in leases}, DELIVERED)
    await ports.deliveries.release_all(leases)
    assert await _now(ports, ids[1]) == moved
    done = await _now(ports, ids[0])
    assert (done.state, done.sent_bytes, done.next_attempt_at) == (DELIVERED, 5, None)
    assert done.ended_at is not None


async def test_lease_that_somebody_took_over_changes_nothing(short_leases: Ports) -> None:
    (delivery_id,) = await _queued(short_leases, 1)
    (taken,) = await short_leases.deliveries.claim_plain([delivery_id], holder="worker")
    other = await eventually(lambda: _claim(short_leases, delivery_id))
    assert other is not None
    assert not await short_leases.deliveries.renew_all({taken.lease: {"sent_bytes": 1}})
    await short_leases.deliveries.finish_all({taken.lease: {}}, DELIVERED)
    await short_leases.deliveries.release_all([taken.lease])
    assert await _now(short_leases, delivery_id) == replace(other, history=())


async def test_delivery_given_back_is_due_as_if_it_had_not_been_claimed(ports: Ports) -> None:
    (delivery_id,) = await _queued(ports, 1)
    (taken,) = await ports.deliveries.claim_plain([delivery_id], holder="worker")
    await ports.deliveries.hold_names({taken.lease: ("t",)})
    await ports.deliveries.release_all([taken.lease])
    again = await _now(ports, delivery_id)
    assert (again.state, again.attempts, again.fruitless_attempts) == (QUEUED, 0, 0)
    assert again.leftovers == ("t",)
    (hint,) = await ports.agenda.due(10)
    assert hint.record_id == delivery_id
    assert await _claim(ports, delivery_id) is not None


async def test_delivery_without_fruitless_attempts_is_given_back_with_none(ports: Ports) -> None:
    (delivery_id,) = await _queued(ports, 1)
    (taken,) = await ports.deliveries.claim_plain([delivery_id], holder="worker")
    await ports.deliveries.renew_all({taken.lease: {"fruitless_attempts": 0}})
    await ports.deliveries.release_all([taken.lease])
    assert (await _now(ports, delivery_id)).fruitless_attempts == 0


async def test_released_names_in_other_folders_stay_held(ports: Ports) -> None:
    names = ["run.h5", "a/run.h5", "a/b/größe.h5"]
    opened = [await ports.deliveries.open(_new(n, object_name=name)) for n, name in enumerate(names, 1)]
    claimed = await ports.deliveries.claim_plain([one.id for one, _ in opened], holder="worker")
    assert len(await ports.deliveries.hold_names({one.lease: () for one in claimed})) == len(names)


async def test_all_files_that_exist_are_told(ports: Ports) -> None:
    files = [await registered(ports) for _ in range(2)]
    found = await ports.files.get_all([*(file.id for file in files), RecordId("f" * 24)])
    assert sorted(one.id for one in found) == sorted(file.id for file in files)


@pytest.mark.parametrize("length", [0, 1, (1 << 20) + 1, BUNDLED_DELIVERY_BYTES])
async def test_sealed_small_content_is_read_whole(ports: Ports, length: int) -> None:
    data = some_bytes(length)
    content = await sealed(ports.contents, ports.intake_with(15), data)
    whole = await ports.contents.read_whole([content.id, ports.contents.new_id()])
    assert set(whole) == {content.id}
    assert (whole[content.id].content, b"".join(whole[content.id].chunks)) == (content, data)


async def test_content_that_is_not_sealed_or_not_inline_is_left_out(ports: Ports) -> None:
    in_many_documents = await sealed(ports.contents, ports.intake_with(0), some_bytes(5))
    opened = ports.contents.new_id()
    described = {"filename": "a", "content_type": "b", "length": 0, "fence": 1}
    await ports.contents.open(opened, file_id=RecordId("c" * 24), **described)  # type: ignore[arg-type]
    assert not await ports.contents.read_whole([in_many_documents.id, opened])
