"""Checks of passwords from clients: after a few wrong passwords an address is refused for a while.

The limit also holds for passwords that an address sends all at once.
"""

import asyncio

from fastapi import Request

from api.rate_limits import RateLimits
from gridhaul.asgi.concurrency_limit import ConcurrencyLimit
from gridhaul.identity.passwords import AT_ONCE, Passwords
from gridhaul.transfer.access import Account
from gridhaul.transfer.errors import TooManyRequests

WAITING_MOST = 100  # checking this many passwords takes some seconds
TRY_AGAIN_SECONDS = 5


class PasswordAttempts:
    """A checker of passwords, which checks a few at a time and counts the wrong ones.

    An instance belongs to one event loop.
    """

    def __init__(self, passwords: Passwords, rate_limits: RateLimits) -> None:
        self._passwords = passwords
        self._rate_limits = rate_limits
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = ConcurrencyLimit(WAITING_MOST, _too_many)

    async def is_right(self, password: str, account: Account | None, *, address: str) -> bool:
        """Return whether the password is the account's, and count a wrong one. Raises TooManyRequests.

        The limit of failed logins is checked again after the wait for a turn: other passwords from the address may have
        turned out wrong during the wait.
        """
        await self._rate_limits.require_login(address)
        with self._waiting.hold(1):
            async with self._turns:
                await self._rate_limits.require_login(address)
                if await self._passwords.match(password, account.password_hash if account else None):
                    return True
                await self._rate_limits.count_failed_login(address)
                return False


def address_of(request: Request) -> str:
    """Return the IP address of the client as the server sees it, or "" if the server does not know it."""
    return request.client.host if request.client else ""


def _too_many() -> TooManyRequests:
    detail = "Too many passwords are waiting to be checked; try again later."
    return TooManyRequests(detail, retry_after_seconds=TRY_AGAIN_SECONDS)
