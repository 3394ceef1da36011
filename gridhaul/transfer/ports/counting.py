"""Counts of what an account has."""

from typing import Protocol

from gridhaul.transfer.listing import AccountCounts


class AccountCounting(Protocol):
    async def of_account(self, owner: str) -> AccountCounts:
        """Count the account's files and deliveries by state, in a time that is bounded. Raises DatabaseUnavailable.

        A delivery that changes its state meanwhile may be counted twice or not at all.
        """
