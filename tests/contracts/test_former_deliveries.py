"""The suite of `FormerDeliveries`."""

import asyncio
from dataclasses import replace

from gridhaul.transfer.model import (
    Delivery,
    Failure,
    File,
    RecordId,
)
from gridhaul.transfer.origins import SourceIdentity
from gridhaul.transfer.states import DELIVERABLE, DeliveryState
from tests.contracts.ports import A_BATCH, Ports, destination, from_path, new_delivery, new_file, stored

OWNER, TARGET = "operator", "archive"
LOST = Failure(code="object_missing", detail="No object is under the name.")


async def _file(ports: Ports, path: str, *, size: int = 5) -> File:
    """Store a file whose source has the path and the size."""
    new = new_file(length=size)
    return await stored(ports, from_path(new, path=path, identity=replace(new.source.identity, size=size)))


async def _open(ports: Ports, file: File, name: str, *, target: str = TARGET, owner: str = OWNER) -> Delivery:
    new = new_delivery(destination(target, object_name=name), file_id=file.id)
    delivery, _ = await ports.deliveries.open(replace(new, source_path=file.source.path, owner=owner))
    taken = await ports.deliveries.claim(
        delivery.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    return taken


async def _delivered(ports: Ports, path: str, name: str, *, size: int = 5, target: str = TARGET) -> SourceIdentity:
    """Deliver a file whose source has the path, and return the identity of the source."""
    file = await _file(ports, path, size=size)
    delivery = await _open(ports, file, name, target=target)
    await ports.deliveries.finish(delivery.lease, DeliveryState.DELIVERED)
    return file.source.identity


async def _sources(ports: Ports, names: dict[str, str]) -> dict[str, SourceIdentity]:
    return dict(await ports.former.sources(OWNER, TARGET, names))


async def _paths(ports: Ports, beneath: str = "/srv/run", *, after: str = "", limit: int = 100) -> list[str]:
    return [*await ports.former.paths(OWNER, TARGET, beneath=beneath, after=after, limit=limit)]


async def test_each_path_has_the_source_of_its_delivery(ports: Ports) -> None:
    a, b = await _delivered(ports, "/srv/a", "x/a", size=1), await _delivered(ports, "/srv/b", "x/b", size=2)
    assert (a.size, b.size) == (1, 2)
    assert await _sources(ports, {"/srv/a": "x/a", "/srv/b": "x/b", "/srv/c": "x/c"}) == {"/srv/a": a, "/srv/b": b}
    assert await _sources(ports, {}) == {}


async def test_newest_of_several_deliveries_counts(ports: Ports) -> None:
    await _delivered(ports, "/srv/a", "a", size=1)
    newest = await _delivered(ports, "/srv/a", "a", size=2)
    assert await _sources(ports, {"/srv/a": "a"}) == {"/srv/a": newest}


async def test_delivery_that_ended_last_counts_whichever_was_made_first(ports: Ports) -> None:
    slow_file = await _file(ports, "/srv/a", size=1)
    slow = await _open(ports, slow_file, "a")
    await _delivered(ports, "/srv/a", "a", size=2)
    await asyncio.sleep(0.002)  # times in MongoDB are whole milliseconds, and this must be another one
    await ports.deliveries.finish(slow.lease, DeliveryState.DELIVERED)
    assert await _sources(ports, {"/srv/a": "a"}) == {"/srv/a": slow_file.source.identity}


async def test_only_the_same_name_target_and_owner_count(ports: Ports) -> None:
    await _delivered(ports, "/srv/a", "other/a")
    await _delivered(ports, "/srv/b", "b", target="mirror")
    foreign = await _open(ports, await _file(ports, "/srv/c"), "c", owner="somebody")
    await ports.deliveries.finish(foreign.lease, DeliveryState.DELIVERED)
    assert await _sources(ports, {"/srv/a": "a", "/srv/b": "b", "/srv/c": "c"}) == {}
    assert await _paths(ports, "/srv") == ["/srv/a"]


async def test_delivery_that_is_open_or_failed_does_not_count(ports: Ports) -> None:
    await _open(ports, await _file(ports, "/srv/a"), "a")
    failed = await _open(ports, await _file(ports, "/srv/b"), "b")
    await ports.deliveries.finish(failed.lease, DeliveryState.FAILED)
    assert await _sources(ports, {"/srv/a": "a", "/srv/b": "b"}) == {}
    assert await _paths(ports, "/srv") == []


async def test_path_whose_newest_object_was_found_lost_is_left_out(ports: Ports) -> None:
    await _delivered(ports, "/srv/a", "a", size=1)
    lost = await _open(ports, await _file(ports, "/srv/a", size=2), "a")
    await ports.deliveries.finish(lost.lease, DeliveryState.DELIVERED, object_error=LOST)
    assert await _sources(ports, {"/srv/a": "a"}) == {}


async def test_deliveries_of_members_count_as_others_do(ports: Ports) -> None:
    file = await _file(ports, "/srv/a")
    new = replace(new_delivery(destination(object_name="a"), file_id=file.id), source_path="/srv/a", batch_id=A_BATCH)
    delivery, _ = await ports.deliveries.open(new)
    taken = await ports.deliveries.claim(
        delivery.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    await ports.deliveries.finish(taken.lease, DeliveryState.DELIVERED)
    assert await _sources(ports, {"/srv/a": "a"}) == {"/srv/a": file.source.identity}


async def test_paths_beneath_a_folder_come_in_byte_order_page_by_page(ports: Ports) -> None:
    names = ["a", "a b", "a/b", "z", "é", "\uffff", "😀"]
    for name in reversed(names):
        await _delivered(ports, f"/srv/run/{name}", name)
    for path in ("/srv/run", "/srv/run-2/a", "/srv/run.h5", "/srv/run0", "/srv/ru"):
        await _delivered(ports, path, path)
    expected = [f"/srv/run/{name}" for name in sorted(names, key=str.encode)]
    assert await _paths(ports) == expected
    assert await _paths(ports, limit=3) == expected[:3]
    assert await _paths(ports, after=expected[2]) == expected[3:]
    assert await _paths(ports, after=expected[-1]) == []


async def test_every_path_is_beneath_the_topmost_folder(ports: Ports) -> None:
    for path in ("/a", "/srv/b"):
        await _delivered(ports, path, path)
    assert await _paths(ports, "") == ["/a", "/srv/b"]
    assert await ports.former.paths("nobody", TARGET, beneath="", after="", limit=9) == []


async def test_unknown_file_of_a_delivery_is_left_out(ports: Ports) -> None:
    new = replace(new_delivery(destination(object_name="a"), file_id=RecordId("e" * 24)), source_path="/srv/a")
    delivery, _ = await ports.deliveries.open(new)
    taken = await ports.deliveries.claim(
        delivery.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    await ports.deliveries.finish(taken.lease, DeliveryState.DELIVERED)
    assert await _sources(ports, {"/srv/a": "a"}) == {}
