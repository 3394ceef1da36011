"""The limit of open files: how many files of an owner may wait to be stored at once.

A count in the database takes longer the more open files an owner has. So each process reuses a count for a second, and
adds the files that it registers itself.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gridhaul.transfer.errors import TooManyOpenFiles
from gridhaul.transfer.ports.files import FileRegistration

KNOWN_SECONDS = 1.0  # how long a count is reused: files that other processes register are seen this much later
OWNERS_MOST = 10_000
TRY_AGAIN_SECONDS = 10


@dataclass(kw_only=True, slots=True)
class _LastCount:
    """The last count of one owner's open files, and the registrations of this process."""

    limit: int  # the database counted no further than this
    count: int  # the files that the database counted, plus those that this process has begun to register since
    good_until: float = 0.0  # the count may be reused until this time of the monotonic clock
    begun: int = 0  # registrations that have begun
    under_way: int = 0  # registrations that have begun and not ended

    def suffices(self, limit: int) -> bool:
        return self.limit == limit and self.count < limit and time.monotonic() < self.good_until


class OpenFileLimit:
    """The limit of open files of every owner. An instance belongs to one event loop."""

    def __init__(self, files: FileRegistration) -> None:
        self._files = files
        self._counts: dict[str, _LastCount] = {}

    @asynccontextmanager
    async def one_more(self, owner: str, *, limit: int) -> AsyncIterator[None]:
        """Count one more open file while the caller registers it inside this context.

        Raises TooManyOpenFiles, but only after a new count. Only files that are registered already stand against the
        limit, so registrations at the same moment may exceed it a little.
        """
        last = self._last_count(owner, limit)
        if not last.suffices(limit):
            await self._count(owner, last, limit)
        last.count += 1
        last.begun += 1
        last.under_way += 1
        try:
            yield
        finally:
            last.under_way -= 1

    def _last_count(self, owner: str, limit: int) -> _LastCount:
        if owner not in self._counts and len(self._counts) >= OWNERS_MOST:
            del self._counts[next(iter(self._counts))]
        return self._counts.setdefault(owner, _LastCount(limit=limit, count=limit))

    async def _count(self, owner: str, last: _LastCount, limit: int) -> None:
        """Count the owner's open files in the database. Raises TooManyOpenFiles.

        The database may or may not have counted the files whose registration is under way, so they are added.
        """
        # Set before the count: requests that arrive during the count use the previous count instead of counting too.
        last.good_until = time.monotonic() + KNOWN_SECONDS
        begun, under_way = last.begun, last.under_way
        counted = await self._files.count_open(owner, limit=limit)
        last.limit, last.count = limit, counted + under_way + last.begun - begun
        if counted >= limit:
            detail = f"At most {limit} files at once may wait to be stored; try again when some of them are stored."
            raise TooManyOpenFiles(detail, retry_after_seconds=TRY_AGAIN_SECONDS)
