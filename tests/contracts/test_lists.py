"""Lists of files and deliveries: what they show, their order, and their pages."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import Delivery, File, NewDelivery, RecordId
from gridhaul.transfer.states import DELIVERY_MOVES, FILE_MOVES, Action, DeliveryState, FileState
from tests.contracts.ports import Ports, claimed, destination, new_delivery, new_file, registered

OWNER = "operator"
BATCH, OTHER_BATCH = RecordId("b" * 24), RecordId("c" * 24)
NAMES = ["b", "a/é", "a", "ab", "a\U0010ffff", "a\U0010ffff", "\ud7ffx", "\ue000"]


async def test_files_by_target_are_those_that_go_there(ports: Ports) -> None:
    both = (destination("archive"), destination("mirror"))
    made = [await registered(ports, new_file(deliver_to=to)) for to in (both, both[:1], both[1:], ())]
    assert await _files(ports, Selection(owner=OWNER, target="archive")) == [made[1].id, made[0].id]
    assert await _files(ports, Selection(owner="another", target="archive")) == []
    await ports.files.move(made[0].id, FILE_MOVES[Action.CANCEL])
    cancelled = Selection(owner=OWNER, target="archive", states=[FileState.CANCELLED])
    assert await _files(ports, cancelled) == [made[0].id]


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a\U0010ffff", "\U0010ffff", "\ud7ff", "c"])
async def test_files_by_prefix_are_sorted_by_name_and_the_newest_of_a_name_is_first(ports: Ports, prefix: str) -> None:
    made = [await registered(ports, new_file(name=name)) for name in NAMES]
    wanted = sorted((file for file in reversed(made) if file.name.startswith(prefix)), key=lambda file: file.name)
    for limit in (1, 3, 10):
        assert await _files(ports, Selection(owner=OWNER, name_prefix=prefix), limit) == [file.id for file in wanted]


async def test_files_by_prefix_and_state_are_in_that_state(ports: Ports) -> None:
    made = [await registered(ports, new_file(name=name)) for name in ("a1", "a2", "b")]
    await claimed(ports, made[1])
    storing = Selection(owner=OWNER, name_prefix="a", states=[FileState.STORING])
    assert await _files(ports, storing) == [made[1].id]


async def test_deliveries_by_prefix_are_sorted_by_the_name_of_the_object(ports: Ports) -> None:
    made = [await _opened(ports, new_delivery(destination(object_name=name))) for name in ("b/2", "b/1", "a")]
    listed = [delivery async for delivery in _deliveries(ports, Selection(owner=OWNER, name_prefix="b/"), 1)]
    assert [delivery.id for delivery in listed] == [made[1].id, made[0].id]


async def test_deliveries_by_target_are_those_of_the_owner(ports: Ports) -> None:
    made = [await _opened(ports, new_delivery(destination(target))) for target in ("archive", "mirror")]
    await _opened(ports, replace(new_delivery(destination("mirror", object_name="o")), owner="another"))
    listed = [delivery.id async for delivery in _deliveries(ports, Selection(owner=OWNER, target="mirror"), 1)]
    assert listed == [made[1].id]


async def test_members_of_a_batch_are_listed_to_its_owner_alone(ports: Ports) -> None:
    members = [await _member(ports, name) for name in ("a", "c", "b")]
    await _member(ports, "d", batch_id=OTHER_BATCH)
    await registered(ports)
    newest_first = [member.id for member in reversed(members)]
    for owner in (None, OWNER):
        assert await _files(ports, Selection(owner=owner, batch_id=BATCH)) == newest_first
    assert await _files(ports, Selection(owner="another", batch_id=BATCH)) == []
    await claimed(ports, members[1])
    assert await _files(ports, Selection(batch_id=BATCH, states=[FileState.STORING])) == [members[1].id]


async def test_members_of_a_batch_are_listed_by_name(ports: Ports) -> None:
    members = [await _member(ports, name) for name in ("a1", "b", "a2")]
    assert await _files(ports, Selection(batch_id=BATCH, name_prefix="")) == [members[n].id for n in (0, 2, 1)]
    assert await _files(ports, Selection(batch_id=BATCH, name_prefix="a")) == [members[0].id, members[2].id]


async def test_deliveries_of_a_batch_are_listed(ports: Ports) -> None:
    news = [new_delivery(destination(object_name=name)) for name in ("a", "b", "c")]
    made = [await _opened(ports, replace(new, batch_id=BATCH)) for new in news[:2]]
    await _opened(ports, news[2])
    listed = [delivery.id async for delivery in _deliveries(ports, Selection(batch_id=BATCH), 1)]
    assert set(listed) == {delivery.id for delivery in made}
    assert len(listed) == 2


async def test_files_between_two_times_leave_out_those_of_the_times(ports: Ports) -> None:
    made = [await registered(ports) for _ in range(2)]
    while len({file.created_at for file in made}) < 4:
        made.append(await registered(ports))
    between = Selection(owner=OWNER, created_after=made[0].created_at, created_before=made[-1].created_at)
    first, last = made[0].created_at, made[-1].created_at
    assert await _files(ports, between) == [file.id for file in reversed(made) if first < file.created_at < last]


async def test_file_that_changes_its_state_between_two_pages_is_shown_once(ports: Ports) -> None:
    made = [await registered(ports) for _ in range(6)]
    newest_first = [file.id for file in reversed(made)]
    shown: list[File] = []
    for file in reversed(made):
        shown += await ports.files.page(Selection(owner=OWNER), limit=1, after=shown[-1] if shown else None)
        await ports.files.move(file.id, FILE_MOVES[Action.PAUSE])
    assert [file.id for file in shown] == newest_first


async def test_file_that_left_the_state_of_the_list_does_not_block_the_next_page(ports: Ports) -> None:
    made = [await registered(ports) for _ in range(4)]
    waiting = Selection(owner=OWNER, states=[FileState.REGISTERED])
    first = await ports.files.page(waiting, limit=2, after=None)
    for file in first:
        await ports.files.move(file.id, FILE_MOVES[Action.PAUSE])
    rest = await ports.files.page(waiting, limit=2, after=first[-1])
    assert [file.id for file in rest] == [made[1].id, made[0].id]


async def test_delivery_that_changes_its_state_between_two_pages_is_shown_once(ports: Ports) -> None:
    for name in "abcdef":
        await _opened(ports, new_delivery(destination(object_name=name)))
    shown: list[Delivery] = []
    for _ in range(6):
        after = shown[-1] if shown else None
        shown += await ports.deliveries.page(Selection(name_prefix="", owner=OWNER), limit=1, after=after)
        await ports.deliveries.move(shown[-1].id, DELIVERY_MOVES[Action.PAUSE])
    assert [delivery.object_name for delivery in shown] == list("abcdef")
    paused = Selection(states=[DeliveryState.PAUSED])
    assert len([delivery async for delivery in _deliveries(ports, paused, 4)]) == 6


async def _files(ports: Ports, selection: Selection, limit: int = 2) -> list[RecordId]:
    """Return the ids of all files of the list, read page by page."""
    found: list[File] = []
    while True:
        page = await ports.files.page(selection, limit=limit, after=found[-1] if found else None)
        found += page
        if len(page) < limit:
            break
    return [file.id for file in found]


async def _deliveries(ports: Ports, selection: Selection, limit: int) -> AsyncIterator[Delivery]:
    """Yield all deliveries of the list, read page by page."""
    page = await ports.deliveries.page(selection, limit=limit, after=None)
    while page:
        for delivery in page:
            yield delivery
        page = await ports.deliveries.page(selection, limit=limit, after=page[-1])


async def _opened(ports: Ports, new: NewDelivery) -> Delivery:
    delivery, _ = await ports.deliveries.open(new)
    return delivery


async def _member(ports: Ports, name: str, *, batch_id: RecordId = BATCH) -> File:
    return await registered(ports, replace(new_file(name=name), batch_id=batch_id))
