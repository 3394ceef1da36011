"""The port that counts the deliveries of an account at each target."""

from typing import Protocol

from gridhaul.transfer.target_activity import AccountActivity


class ActivityCounting(Protocol):
    async def of_account(self, owner: str) -> AccountActivity:
        """Count the account's deliveries by target and state, in a time that is bounded. Raises DatabaseUnavailable.

        A delivery that changes its state meanwhile may be counted twice or not at all.
        """
