"""The expectation of a content, over several pages of a manifest, without a database."""

import random

import pytest

from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.digest import manifest_root
from gridhaul.transfer.model import Content, RecordId
from gridhaul.transfer.states import ContentState, Layout
from tasks.checking.expectation import SEARCHES_AT_MOST, Expectation, expectation_of

CHUNKS = 2500
DIGESTS = random.Random(7).randbytes(32 * CHUNKS)
PAGES = [DIGESTS[at : at + 32 * 1024] for at in range(0, len(DIGESTS), 32 * 1024)]


def digest(n: int) -> bytes:
    return DIGESTS[32 * n : 32 * (n + 1)]


CONTENT = Content(
    id=RecordId("a" * 24),
    filename="f",
    content_type="a/b",
    length=CHUNKS * CHUNK_BYTES,
    state=ContentState.SEALED,
    fence=1,
    refs=(),
    layout=Layout.GRIDFS,
    manifest_root=manifest_root(PAGES),
)


class Pages:
    """The pages of a manifest, and of the digests beside the chunks. Counts the pages that are asked for."""

    def __init__(self, manifest: list[bytes], beside: list[bytes]) -> None:
        self._manifest = manifest
        self._beside = beside
        self.asked = 0

    async def manifest_page(self, _: Content, page: int) -> bytes:
        self.asked += 1
        return self._manifest[page]

    async def digest_page(self, _: Content, page: int) -> bytes:
        self.asked += 1
        return self._beside[page]


async def expected(pages: Pages) -> Expectation:
    return await expectation_of(CONTENT, pages)


FORGED = [PAGES[0], PAGES[1][:-1] + b"x", PAGES[2]]


@pytest.mark.parametrize(
    ("manifest", "beside", "whole", "known"),
    [
        (PAGES, [b"", b"", b""], True, True),
        (FORGED, PAGES, False, True),
        ([b"", PAGES[1], PAGES[2]], [PAGES[0], b"", b""], False, True),
        ([b"", PAGES[1], PAGES[2]], [b"", PAGES[1], PAGES[2]], False, False),
        (FORGED, FORGED, False, False),
    ],
    ids=["manifest", "beside", "each what the other lacks", "both lack one", "both forged"],
)
async def test_what_gives_the_root_is_believed(
    manifest: list[bytes], beside: list[bytes], whole: bool, known: bool
) -> None:
    expectation = await expected(Pages(manifest, beside))
    assert (expectation.manifest_is_whole, expectation.known) == (whole, known)
    wanted = digest(2400) if known else None
    assert (await expectation.of(2400)).digest == wanted


async def test_number_of_a_digest_is_found_on_any_page() -> None:
    expectation = await expected(Pages(PAGES, PAGES))
    for n, near in ((0, 2499), (1023, 0), (1024, 0), (2499, 0)):
        assert await expectation.number_of(digest(n), near=near) == n
    assert await expectation.number_of(DIGESTS[16:48], near=0) is None  # bytes across two digests are no digest
    assert await expectation.number_of(b"x" * 32, near=0) is None


async def test_search_over_all_pages_is_done_so_often_only() -> None:
    pages = Pages(PAGES, PAGES)
    expectation = await expected(pages)
    for _ in range(SEARCHES_AT_MOST + 5):
        assert await expectation.number_of(b"x" * 32, near=0) is None
    asked = pages.asked
    assert await expectation.number_of(digest(2000), near=0) is None
    assert await expectation.number_of(digest(5), near=0) == 5
    assert pages.asked - asked <= 1
