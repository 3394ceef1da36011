"""The suite of `PlannedNames`."""

from gridhaul.transfer.model import RecordId
from tests.contracts.ports import A_BATCH, Ports

ANOTHER_BATCH = RecordId("d" * 24)


async def test_path_whose_name_another_path_has_already_is_told(ports: Ports) -> None:
    assert await ports.planned_names.add(A_BATCH, {"/srv/a/x": "x", "/srv/a/y": "y"}) == frozenset()
    clashing = await ports.planned_names.add(A_BATCH, {"/srv/b/x": "x", "/srv/b/z": "z", "/srv/b/y": "y"})
    assert clashing == {"/srv/b/x", "/srv/b/y"}


async def test_of_two_paths_with_one_name_in_one_call_the_second_is_told(ports: Ports) -> None:
    assert await ports.planned_names.add(A_BATCH, {"/srv/a/x": "x", "/srv/b/x": "x"}) == {"/srv/b/x"}


async def test_repeated_call_has_the_same_answer(ports: Ports) -> None:
    await ports.planned_names.add(A_BATCH, {"/srv/a/x": "x"})
    names = {"/srv/b/x": "x", "/srv/b/y": "y"}
    answers = [await ports.planned_names.add(A_BATCH, names) for _ in range(2)]
    assert answers == [{"/srv/b/x"}, {"/srv/b/x"}]


async def test_names_differ_by_every_byte(ports: Ports) -> None:
    names = ["x", "X", "x ", "é", "e\u0301", "😀", "$x", "a.b", "a/b"]
    assert not await ports.planned_names.add(A_BATCH, {f"/srv/{name}": name for name in names})


async def test_no_names_clash_with_nothing(ports: Ports) -> None:
    assert await ports.planned_names.add(A_BATCH, {}) == frozenset()


async def test_each_batch_has_its_own_names_and_they_can_be_forgotten(ports: Ports) -> None:
    for batch_id in (A_BATCH, ANOTHER_BATCH):
        assert not await ports.planned_names.add(batch_id, {"/srv/a/x": "x"})
    await ports.planned_names.forget(A_BATCH)
    await ports.planned_names.forget(A_BATCH)
    assert not await ports.planned_names.add(A_BATCH, {"/srv/b/x": "x"})
    assert await ports.planned_names.add(ANOTHER_BATCH, {"/srv/b/x": "x"}) == {"/srv/b/x"}
