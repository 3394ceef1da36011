"""What the chunks of a content should be: the manifest, or where that is damaged, what gives its root all the same."""

from collections.abc import Awaitable, Callable

from gridhaul.transfer.chunking import MANIFEST_PAGE_CHUNKS, chunk_length, page_chunk_count, page_count
from gridhaul.transfer.digest import DIGEST_BYTES, ManifestRoot
from gridhaul.transfer.judgement import Expected
from gridhaul.transfer.model import Content
from gridhaul.transfer.ports.checking import ManifestPages

Page = Callable[[int], Awaitable[bytes]]
SEARCHES_AT_MOST = 16  # over the whole manifest, for each slice and content


class Expectation:
    """Holds one page of the manifest at a time. Make with `expectation_of`."""

    def __init__(self, content: Content, page: Page | None, *, manifest_is_whole: bool) -> None:
        self.content = content
        self.manifest_is_whole = manifest_is_whole
        self._page_of = page
        self._page = (-1, b"")
        self._searches_left = SEARCHES_AT_MOST

    @property
    def known(self) -> bool:
        """Whether there is anything that gives the content's root."""
        return self._page_of is not None

    async def page(self, page: int) -> bytes:
        if self._page_of is not None and page != self._page[0]:
            self._page = (page, await self._page_of(page))
        return self._page[1]

    async def of(self, n: int) -> Expected:
        length = chunk_length(self.content.length, n)
        return Expected(n=n, length=length, digest=await self._digest(n) if self.known else None)

    async def number_of(self, digest: bytes, *, near: int) -> int | None:
        """The number that the digest belongs to; looked for near `near` first, and not for ever."""
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
    """From the manifest; else from the digests beside the chunks; else from each what the other lacks."""

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
    """The root of exactly the chunks that the content has, "" if the pages name more or fewer.

    So a content whose length is damaged is never taken for a whole one.
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
