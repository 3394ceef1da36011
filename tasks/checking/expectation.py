"""The digests that a content's chunks should have: the manifest, or other stored digests that give the same root."""

from collections.abc import Awaitable, Callable

from gridhaul.transfer.chunking import MANIFEST_PAGE_CHUNKS, chunk_length, page_chunk_count, page_count
from gridhaul.transfer.digest import DIGEST_BYTES, ManifestRoot
from gridhaul.transfer.judgement import Expected
from gridhaul.transfer.model import Content
from gridhaul.transfer.ports.checking import ManifestPages

Page = Callable[[int], Awaitable[bytes]]
SEARCHES_AT_MOST = 16  # searches of the whole manifest, for each content and slice


class Expectation:
    """The digests that a content's chunks should have, with one page in memory at a time. `expectation_of` makes it."""

    def __init__(self, content: Content, page: Page | None, *, manifest_is_whole: bool) -> None:
        self.content = content
        self.manifest_is_whole = manifest_is_whole
        self._page_of = page
        self._page = (-1, b"")
        self._searches_left = SEARCHES_AT_MOST

    @property
    def known(self) -> bool:
        """Return whether any stored digests give the content's root."""
        return self._page_of is not None

    async def page(self, page: int) -> bytes:
        if self._page_of is not None and page != self._page[0]:
            self._page = (page, await self._page_of(page))
        return self._page[1]

    async def of(self, n: int) -> Expected:
        length = chunk_length(self.content.length, n)
        return Expected(n=n, length=length, digest=await self._digest(n) if self.known else None)

    async def number_of(self, digest: bytes, *, near: int) -> int | None:
        """Return the number of the chunk that should have the digest, or None if it is not found.

        The page of the number `near` is searched first, then all pages. The search of all pages is done in at most
        SEARCHES_AT_MOST calls.
        """
        here = near // MANIFEST_PAGE_CHUNKS
        found = _index(await self.page(here), digest)
        if found is not None:
            return here * MANIFEST_PAGE_CHUNKS + found
        if not self._searches_left:
            return None
        self._searches_left -= 1
        for page in range(page_count(self.content.length)):
            found = _index(await self.page(page), digest)
            if found is not None:
                return page * MANIFEST_PAGE_CHUNKS + found
        return None

    async def _digest(self, n: int) -> bytes:
        page, at = divmod(n, MANIFEST_PAGE_CHUNKS)
        return (await self.page(page))[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]


async def expectation_of(content: Content, pages: ManifestPages) -> Expectation:
    """Return the expectation from the first of three sources that gives the content's root.

    The sources are the manifest, the digests beside the chunks, and the manifest with each incomplete page replaced by
    the digests beside the chunks.
    """

    async def stored(page: int) -> bytes:
        return await pages.manifest_page(content, page)

    async def beside(page: int) -> bytes:
        return await pages.digest_page(content, page)

    async def either(page: int) -> bytes:
        found = await stored(page)
        return found if len(found) == page_chunk_count(content.length, page) * DIGEST_BYTES else await beside(page)

    for page_of in (stored, beside, either):
        if await _root(content, page_of) == content.manifest_root:
            return Expectation(content, page_of, manifest_is_whole=page_of is stored)
    return Expectation(content, None, manifest_is_whole=False)


async def _root(content: Content, page_of: Page) -> str:
    """Return the root of the pages; "" unless they hold exactly as many digests as the content has chunks.

    Thus a content whose length is damaged never passes for complete.
    """
    root = ManifestRoot()
    for page in range(page_count(content.length)):
        digests = await page_of(page)
        if len(digests) != page_chunk_count(content.length, page) * DIGEST_BYTES:
            return ""
        root.update(digests)
    return root.hexdigest()


def _index(page: bytes, digest: bytes) -> int | None:
    at = page.find(digest)
    while at >= 0 and at % DIGEST_BYTES:
        at = page.find(digest, at + 1)
    return at // DIGEST_BYTES if at >= 0 else None
