"""Counts that are made on request, one at a time.

The result of a count that took t seconds is used for 9 t, and for 10 s at least.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gridhaul.process.fair_slots import FairSlots
from gridhaul.transfer.errors import DatabaseUnavailable

FRESH_SECONDS_LEAST = 10.0
REST = 9  # a result is used again for this many times the seconds that its count took
COUNTS_KNOWN = 1000

K = TypeVar("K")
C = TypeVar("C")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known(Generic[C]):
    found: C | DatabaseUnavailable  # an error is kept as well, because a repeated count would take too long again
    fresh_until: float  # by the monotonic clock


class RecentCounts(Generic[K, C]):
    """The counts of some things, such as accounts. Requests for one thing at the same moment share one count.

    Accounts take turns: the next count is that of another account, however many things one account asks for.
    """

    def __init__(self, count: Callable[[K], Awaitable[C]], *, fresh_seconds: float = FRESH_SECONDS_LEAST) -> None:
        """`count` counts one thing, and raises DatabaseUnavailable."""
        self._count_now = count
        self._fresh_seconds = fresh_seconds
        self._one_at_a_time = FairSlots(limit=1, limit_each=1)
        self._known: OrderedDict[K, _Known[C]] = OrderedDict()

    async def of(self, key: K, *, account: str) -> C:
        """Return the last counts of the thing, or count afresh if they are too old. Raises DatabaseUnavailable.

        `account` is the account whose thing it is.
        """
        known = self._fresh(key)
        if known is None:
            end_turn = await self._one_at_a_time.acquire(account)
            try:
                known = self._fresh(key) or await self._count(key)
            finally:
                end_turn()
        if isinstance(known.found, DatabaseUnavailable):
            # Each raise adds to an error's traceback, and the error is raised again until the next count.
            raise known.found.with_traceback(None)
        return known.found

    def _fresh(self, key: K) -> _Known[C] | None:
        known = self._known.get(key)
        return known if known and time.monotonic() < known.fresh_until else None

    async def _count(self, key: K) -> _Known[C]:
        began = time.monotonic()
        try:
            found: C | DatabaseUnavailable = await self._count_now(key)
        except DatabaseUnavailable as error:
            found = error
        now = time.monotonic()
        rest = REST * (now - began)
        least = 0.0 if isinstance(found, DatabaseUnavailable) else self._fresh_seconds
        known = self._known[key] = _Known(found=found, fresh_until=now + max(least, rest))
        self._known.move_to_end(key)
        if len(self._known) > COUNTS_KNOWN:
            self._known.popitem(last=False)
        return known
