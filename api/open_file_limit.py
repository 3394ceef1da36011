"""How many files of each owner wait to be stored, as far as this process knows: to count them for each request would
take as long as they are many.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gridhaul.transfer.errors import TooManyOpenFiles
from gridhaul.transfer.ports import FileRegistry

KNOWN_SECONDS = 1.0  # what other processes register is seen that much later
OWNERS_MOST = 10_000
TRY_AGAIN_SECONDS = 10


@dataclass(kw_only=True, slots=True)
class _Known:
    """Of one owner."""

    limit: int  # up to which it was counted
    count: int  # never less than what was counted and what this process has begun to register since
    good_until: float = 0.0
    begun: int = 0
    under_way: int = 0

    def suffices(self, limit: int) -> bool:
        return self.limit == limit and self.count < limit and time.monotonic() < self.good_until


class OpenFileLimit:
    """Belongs to one event loop."""

    def __init__(self, files: FileRegistry) -> None:
        self._files = files
        self._known: dict[str, _Known] = {}

    @asynccontextmanager
    async def one_more(self, owner: str, *, limit: int) -> AsyncIterator[None]:
        """While a file is registered, which counts from now on. Raises TooManyOpenFiles, never by an old count.

        Only what is registered already stands against the limit: those at the same moment may go a little over it.
        """
        known = self._of(owner, limit)
        if not known.suffices(limit):
            await self._count(owner, known, limit)
        known.count += 1
        known.begun += 1
        known.under_way += 1
        try:
            yield
        finally:
            known.under_way -= 1

    def _of(self, owner: str, limit: int) -> _Known:
        if owner not in self._known and len(self._known) >= OWNERS_MOST:
            del self._known[next(iter(self._known))]
        return self._known.setdefault(owner, _Known(limit=limit, count=limit))

    async def _count(self, owner: str, known: _Known, limit: int) -> None:
        """What is under way may be among the counted or not: it is added."""
        known.good_until = time.monotonic() + KNOWN_SECONDS  # meanwhile others go by what was known
        begun, under_way = known.begun, known.under_way
        counted = await self._files.count_open(owner, limit=limit)
        known.limit, known.count = limit, counted + under_way + known.begun - begun
        if counted >= limit:
            detail = f"At most {limit} files at once may wait to be stored; try again when some are."
            raise TooManyOpenFiles(detail, retry_after_seconds=TRY_AGAIN_SECONDS)
