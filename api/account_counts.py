"""The counts of accounts, made when somebody looks: one at a time, and at most a tenth of the time for one account."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

from gridhaul.transfer.errors import DatabaseUnavailable
from gridhaul.transfer.listing import AccountCounts
from gridhaul.transfer.ports.counting import AccountCounting

FRESH_SECONDS_LEAST = 10.0
REST = 9  # a count rests for so many times as long as it took
ACCOUNTS_KNOWN = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    found: AccountCounts | DatabaseUnavailable  # an error rests too: a count that takes too long will do so again
    fresh_until: float  # by the monotonic clock


class RecentCounts:
    """Counts the files and deliveries of accounts. Requests for one account at the same moment share one count."""

    def __init__(self, counting: AccountCounting, *, fresh_seconds: float = FRESH_SECONDS_LEAST) -> None:
        self._counting = counting
        self._fresh_seconds = fresh_seconds
        self._one_at_a_time = asyncio.Lock()
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def of_account(self, owner: str) -> AccountCounts:
        """Return the last counts of the account, or count afresh if they are too old. Raises DatabaseUnavailable."""
        known = self._fresh(owner)
        if known is None:
            async with self._one_at_a_time:
                known = self._fresh(owner) or await self._count(owner)
        if isinstance(known.found, DatabaseUnavailable):
            raise known.found
        return known.found

    def _fresh(self, owner: str) -> _Known | None:
        known = self._known.get(owner)
        return known if known and time.monotonic() < known.fresh_until else None

    async def _count(self, owner: str) -> _Known:
        began = time.monotonic()
        try:
            found: AccountCounts | DatabaseUnavailable = await self._counting.of_account(owner)
        except DatabaseUnavailable as error:
            found = error
        now = time.monotonic()
        rest = REST * (now - began)
        least = self._fresh_seconds if isinstance(found, AccountCounts) else 0.0
        known = self._known[owner] = _Known(found=found, fresh_until=now + max(least, rest))
        self._known.move_to_end(owner)
        if len(self._known) > ACCOUNTS_KNOWN:
            self._known.popitem(last=False)
        return known
