"""Passwords that strangers name: after a few wrong ones no more are looked at for a while, however they come."""

import asyncio

from fastapi import Request

from api.rate_limits import RateLimits
from gridhaul.asgi.concurrency_limit import ConcurrencyLimit
from gridhaul.identity.passwords import AT_ONCE, Passwords
from gridhaul.transfer.access import Account
from gridhaul.transfer.errors import TooManyRequests

WAITING_MOST = 100  # some seconds of work
TRY_AGAIN_SECONDS = 5


class PasswordAttempts:
    """Belongs to one event loop."""

    def __init__(self, passwords: Passwords, rate_limits: RateLimits) -> None:
        self._passwords = passwords
        self._rate_limits = rate_limits
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = ConcurrencyLimit(WAITING_MOST, _too_many)

    async def is_right(self, password: str, account: Account | None, *, address: str) -> bool:
        """Whether it is the account's; if not, it is counted. Raises TooManyRequests.

        Those that went wrong are looked at when its turn has come: until then, many may be under way at once.
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
    """Where a request comes from, as far as the server knows."""
    return request.client.host if request.client else ""


def _too_many() -> TooManyRequests:
    return TooManyRequests("Too many passwords are waiting to be looked at.", retry_after_seconds=TRY_AGAIN_SECONDS)
