"""The suite of `SkippedPaths`."""

import pytest

from gridhaul.transfer.batches import Skipped
from gridhaul.transfer.errors import NotFound
from gridhaul.transfer.model import RecordId
from tests.contracts.ports import A_BATCH, Ports

ANOTHER_BATCH = RecordId("d" * 24)


def _skipped(path: str, reason: str = "link", detail: str = "A link.") -> Skipped:
    return Skipped(path=path, reason=reason, detail=detail)


async def test_paths_are_listed_in_the_byte_order_of_their_text(ports: Ports) -> None:
    paths = ["/a", "/a b", "/a/b", "/z", "/é", "/\uffff", "/😀"]
    await ports.skipped.add(A_BATCH, [_skipped(path) for path in (*paths[3:], *paths[:3])])
    page = await ports.skipped.page(A_BATCH, limit=10, after=None)
    assert [one.path for one in page] == sorted(paths, key=str.encode)


async def test_pages_follow_each_other_without_gap_or_repeat(ports: Ports) -> None:
    await ports.skipped.add(A_BATCH, [_skipped(f"/{number}") for number in range(5)])
    pages: list[list[str]] = []
    after: RecordId | None = None
    while page := await ports.skipped.page(A_BATCH, limit=2, after=after):
        pages.append([one.path for one in page])
        after = page[-1].id_in(A_BATCH)
    assert pages == [["/0", "/1"], ["/2", "/3"], ["/4"]]


async def test_path_that_is_noted_already_stays_as_it_is(ports: Ports) -> None:
    await ports.skipped.add(A_BATCH, [_skipped("/a")])
    await ports.skipped.add(
        A_BATCH, [_skipped("/a", "vanished", "It vanished."), _skipped("/b", "socket", "A socket.")]
    )
    page = await ports.skipped.page(A_BATCH, limit=10, after=None)
    assert page == [_skipped("/a"), _skipped("/b", "socket", "A socket.")]
    assert dict(await ports.skipped.counts(A_BATCH)) == {"link": 1, "socket": 1}


async def test_each_batch_has_its_own_paths(ports: Ports) -> None:
    await ports.skipped.add(A_BATCH, [_skipped("/a")])
    await ports.skipped.add(ANOTHER_BATCH, [_skipped("/a", "vanished"), _skipped("/b", "vanished")])
    assert await ports.skipped.page(A_BATCH, limit=10, after=None) == [_skipped("/a")]
    assert dict(await ports.skipped.counts(ANOTHER_BATCH)) == {"vanished": 2}


async def test_paths_that_were_forgotten_are_gone_and_can_be_noted_again(ports: Ports) -> None:
    for batch_id in (A_BATCH, ANOTHER_BATCH):
        await ports.skipped.add(batch_id, [_skipped("/a")])
    await ports.skipped.forget(A_BATCH)
    assert not await ports.skipped.page(A_BATCH, limit=10, after=None)
    assert await ports.skipped.page(ANOTHER_BATCH, limit=10, after=None) == [_skipped("/a")]
    await ports.skipped.add(A_BATCH, [_skipped("/a", "vanished")])
    assert dict(await ports.skipped.counts(A_BATCH)) == {"vanished": 1}


async def test_batch_that_skipped_nothing_has_no_page_and_no_counts(ports: Ports) -> None:
    assert not await ports.skipped.page(A_BATCH, limit=10, after=None)
    assert not await ports.skipped.counts(A_BATCH)


async def test_page_after_an_unknown_path_is_not_found(ports: Ports) -> None:
    await ports.skipped.add(ANOTHER_BATCH, [_skipped("/a")])
    with pytest.raises(NotFound):
        await ports.skipped.page(A_BATCH, limit=10, after=_skipped("/a").id_in(ANOTHER_BATCH))
