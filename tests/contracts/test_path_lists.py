"""The suite of `ListIntake` and `UsedLists`."""

from dataclasses import replace

import pytest

from gridhaul.transfer.batches import Batch, BatchState
from gridhaul.transfer.lists import ListFormat, ListPage, NewList
from gridhaul.transfer.model import RecordId
from tests.contracts.ports import A_BATCH, Ports, new_batch

FIRST = ListPage(first_line=1, text=b"/srv/$a\n/srv/\xff\n")
SECOND = ListPage(first_line=3, text=b"b")
NEW = NewList(owner="operator", format=ListFormat.PATHS, length=18, entries=3, relative=1, pages=2)


async def _made(ports: Ports, new: NewList = NEW) -> RecordId:
    list_id = ports.lists.new_id()
    for number, page in enumerate((FIRST, SECOND)):
        await ports.lists.add_page(list_id, number, page)
    await ports.lists.register(list_id, new)
    return list_id


async def _batch(ports: Ports, list_id: RecordId) -> Batch:
    batch, _ = await ports.batches.register(replace(new_batch(), sources=(), list_id=list_id))
    return batch


async def test_list_has_what_was_counted_and_goes_away_by_itself(ports: Ports) -> None:
    list_id = await _made(ports)
    found = await ports.lists.get(list_id)
    assert found is not None
    for name in NewList.__slots__:
        assert getattr(found, name) == getattr(NEW, name)
    assert found.expires_at is not None
    assert 86_000 < (found.expires_at - found.created_at).total_seconds() <= 86_400


async def test_pages_are_read_as_they_were_stored(ports: Ports) -> None:
    list_id = await _made(ports)
    await ports.lists.add_page(list_id, 0, FIRST)
    assert [await ports.lists.page(list_id, number) for number in range(3)] == [FIRST, SECOND, None]


async def test_list_that_still_arrives_is_none(ports: Ports) -> None:
    list_id = ports.lists.new_id()
    await ports.lists.add_page(list_id, 0, FIRST)
    assert await ports.lists.get(list_id) is None
    assert await ports.lists.keep(list_id) is None


async def test_list_that_is_kept_stays(ports: Ports) -> None:
    list_id = await _made(ports)
    for _ in range(2):
        kept = await ports.lists.keep(list_id)
        assert kept is not None
        assert kept.expires_at is None
    assert await ports.lists.get(list_id) == kept


async def test_list_without_all_its_pages_can_not_be_kept(ports: Ports) -> None:
    assert await ports.lists.keep(await _made(ports, replace(NEW, pages=3))) is None


async def test_lists_that_no_batch_uses_are_counted_up_to_the_limit(ports: Ports) -> None:
    for _ in range(3):
        await _made(ports)
    await ports.lists.keep(await _made(ports))
    await _made(ports, replace(NEW, owner="someone"))
    assert [await ports.lists.count_unused("operator", limit=limit) for limit in (10, 2)] == [3, 2]


async def test_list_that_was_forgotten_is_gone_with_its_pages(ports: Ports) -> None:
    list_id, other = await _made(ports), await _made(ports)
    await ports.lists.forget(list_id)
    assert await ports.lists.get(list_id) is None
    assert await ports.lists.page(list_id, 0) is None
    assert await ports.lists.page(other, 0) == FIRST


async def test_lists_are_shown_page_by_page_newest_first(ports: Ports) -> None:
    made = [await _made(ports) for _ in range(3)]
    foreign = await _made(ports, replace(NEW, owner="someone"))
    await ports.lists.keep(made[1])
    await ports.lists.add_page(ports.lists.new_id(), 0, FIRST)  # it still arrives
    first = await ports.lists.newest(owner="operator", limit=2, before=None)
    assert first == [await ports.lists.get(made[2]), await ports.lists.get(made[1])]
    rest = await ports.lists.newest(owner="operator", limit=2, before=first[-1].id)
    assert [one.id for one in rest] == [made[0]]
    everybody = await ports.lists.newest(owner=None, limit=10, before=None)
    assert [one.id for one in everybody] == [foreign, *reversed(made)]


async def test_list_that_no_batch_uses_can_be_removed_once(ports: Ports) -> None:
    list_id = await _made(ports)
    assert [await ports.lists.forget_unused(list_id) for _ in range(2)] == [True, False]
    assert await ports.lists.get(list_id) is None
    assert await ports.lists.page(list_id, 0) is None


async def test_list_that_a_batch_uses_can_not_be_removed(ports: Ports) -> None:
    list_id = await _made(ports)
    await ports.lists.keep(list_id)
    assert not await ports.lists.forget_unused(list_id)
    assert await ports.lists.page(list_id, 1) == SECOND


@pytest.mark.parametrize("state", [BatchState.DONE, BatchState.DELETING, BatchState.DELETED])
async def test_released_list_stays_while_another_batch_uses_it(ports: Ports, state: BatchState) -> None:
    list_id = await _made(ports)
    batch, other = await _batch(ports, list_id), await _batch(ports, list_id)
    claimed = await ports.batches.claim_in_its_state(other.id, holder="worker")
    assert claimed is not None
    await ports.batches.finish(claimed.lease, state)
    await ports.lists.release(list_id, batch.id)
    assert (await ports.lists.get(list_id) is None) == (state is not BatchState.DONE)


async def test_unknown_list_is_none_and_can_be_released(ports: Ports) -> None:
    unknown = RecordId("e" * 24)
    assert await ports.lists.get(unknown) is None
    assert await ports.lists.keep(unknown) is None
    assert not await ports.lists.forget_unused(unknown)
    await ports.lists.release(unknown, A_BATCH)
