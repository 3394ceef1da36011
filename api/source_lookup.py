"""Looks at sources for requests. A file system that does not answer delays only the accounts that use its files."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from gridhaul.process.bounded_threads import BoundedThreads
from gridhaul.source.folder_page import FolderPage, Slice, folder_page
from gridhaul.source.opened import identify_here
from gridhaul.source.roots import Roots
from gridhaul.transfer.errors import SourceUnavailable
from gridhaul.transfer.origins import SourceIdentity

T = TypeVar("T")

LOOKS_AT_ONCE = 32
LOOKS_OF_ACCOUNT = 4  # at once; a look at a file system that does not answer counts until the file system answers
LOOK_SECONDS = 10.0  # how long a request waits, for a free thread and for the file system together


def look_threads() -> BoundedThreads:
    """Return the threads in which one process looks at sources."""
    return BoundedThreads(limit=LOOKS_AT_ONCE, limit_each=LOOKS_OF_ACCOUNT, within_seconds=LOOK_SECONDS)


class SourceLookup:
    """Identifies sources and lists folders, in threads that no other work uses."""

    def __init__(self, threads: BoundedThreads, *, max_file_bytes: int | None) -> None:
        self._threads = threads
        self._max_file_bytes = max_file_bytes

    async def identify(self, path: str, roots: Roots, *, username: str) -> SourceIdentity:
        """Return the identity under which the file at `path` is registered. `username` is the account that asks.

        Raises the source errors, among them SourceUnavailable if the file system does not answer in time.
        """
        look = partial(identify_here, path, roots, max_file_bytes=self._max_file_bytes)
        return await self._look(username, look)

    async def folder_page(self, path: str, roots: Roots, wanted: Slice, *, username: str) -> FolderPage:
        """Return a page of the folder at `path`. Raises as `identify` does, and PathInvalid if it is no folder."""
        look = partial(folder_page, path, roots, wanted, max_file_bytes=self._max_file_bytes)
        return await self._look(username, look)

    async def _look(self, username: str, look: Callable[[], T]) -> T:
        try:
            return await self._threads.run(username, look)
        except TimeoutError as error:
            raise SourceUnavailable(
                "The file system of this source, or of other sources, does not answer; try again.",
                retry_after_seconds=LOOK_SECONDS,
            ) from error
