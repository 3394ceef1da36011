"""Pages of manifests for readers of ranges, who need a few pages and have to know that these belong to the content."""

from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock

from gridhaul.storage.content.manifest import Manifests
from gridhaul.transfer.chunking import page_count
from gridhaul.transfer.digest import DIGEST_BYTES, ManifestRoot, chunk_digest, manifest_root
from gridhaul.transfer.errors import ContentMismatch
from gridhaul.transfer.model import Content

Key = tuple[str, str | None]  # id and manifest root of a content

KEPT_PAGES = 1 << 16  # digests of pages that stay in memory: 2 MiB, enough for contents of 64 TiB together


class CheckedManifests:
    """Manifest pages, each verified against the root that the content was sealed with. All methods are for threads.

    The root covers the whole manifest, which has 32 bytes a chunk: 32 MiB for a content of 1 TiB. So the first range of
    a content reads its whole manifest and checks the root; the digest of each page is kept. Every later range in the
    life of the process reads only the pages that it needs, and compares them with these digests. The contents whose
    ranges were read least recently are forgotten when the process would keep more than `kept_pages` digests.
    """

    def __init__(self, manifests: Manifests, *, kept_pages: int = KEPT_PAGES) -> None:
        self._manifests = manifests
        self._kept_pages = kept_pages
        self._lock = Lock()
        self._checks: OrderedDict[Key, _Check] = OrderedDict()  # the one that was used last is the last

    def page(self, content: Content, number: int) -> bytes:
        """Return the page, 32 bytes a chunk. Raises ContentMismatch unless page and root are those of the seal."""
        page = self._manifests.page_in_thread(content.id, number)
        if page_count(content.length) == 1:  # the page is the manifest, so that nothing needs to be kept
            _require(content, is_right=manifest_root([page]) == content.manifest_root)
        else:
            kept = self._digests(content)[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]
            _require(content, is_right=chunk_digest(page) == kept)
        return page

    def _digests(self, content: Content) -> bytes:
        """Return the digests of all pages. Threads that ask for the same content at once wait for one check."""
        key = (content.id, content.manifest_root)
        with self._lock:
            held = self._checks.get(key)
            check = self._checks[key] = held or _Check(pages=page_count(content.length))
            self._checks.move_to_end(key)
            self._forget_some()
        if held is None:
            try:
                check.digests.set_result(self._checked(content))
            except BaseException as error:
                with self._lock:
                    self._checks.pop(key, None)
                check.digests.set_exception(error)
        return check.digests.result()

    def _checked(self, content: Content) -> bytes:
        """Return the digest of each page of the manifest, 32 bytes each. Raises ContentMismatch."""
        root, digests = ManifestRoot(), bytearray()
        for page in self._manifests.pages_in_thread(content.id, count=page_count(content.length)):
            root.update(page)
            digests += chunk_digest(page)
        _require(content, is_right=root.hexdigest() == content.manifest_root)
        return bytes(digests)

    def _forget_some(self) -> None:
        """Forget checks until few enough digests are kept, but not the last one. The caller holds the lock."""
        while len(self._checks) > 1 and sum(check.pages for check in self._checks.values()) > self._kept_pages:
            self._checks.popitem(last=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Check:
    pages: int
    digests: Future[bytes] = field(default_factory=Future)  # of all pages, 32 bytes each, once the root was checked


def _require(content: Content, *, is_right: bool) -> None:
    if not is_right:
        raise ContentMismatch(f"The manifest of content {content.id} differs from the root it was sealed with.")
