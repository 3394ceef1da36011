"""Rate limits for accounts and for failed logins. Each process counts for itself, so no other server is needed."""

import time
from ipaddress import IPv6Address, ip_address

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from gridhaul.transfer.access import Account
from gridhaul.transfer.errors import TooManyRequests


class RateLimits:
    """Limits of requests and of failed logins over the last minute; 0: no limit.

    An instance belongs to one event loop.
    """

    def __init__(self, *, requests_a_minute: int, failed_logins_a_minute: int) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._requests = _rate(requests_a_minute)
        self._logins = _rate(failed_logins_a_minute)

    async def count(self, account: Account) -> None:
        """Count a request of the account. Raises TooManyRequests if the account is over its rate."""
        if self._requests and not await self._limiter.hit(self._requests, "account", account.username):
            raise await self._refusal(self._requests, "account", account.username)

    async def require_login(self, address: str) -> None:
        """Raise TooManyRequests if too many logins from the address failed, for whichever usernames."""
        key = ("login", _subscriber(address))
        if self._logins and not await self._limiter.test(self._logins, *key):
            raise await self._refusal(self._logins, *key)

    async def count_failed_login(self, address: str) -> None:
        if self._logins:
            await self._limiter.hit(self._logins, "login", _subscriber(address))

    async def _refusal(self, rate: RateLimitItemPerMinute, *key: str) -> TooManyRequests:
        window = await self._limiter.get_window_stats(rate, *key)
        seconds = max(1.0, window.reset_time - time.time())
        return TooManyRequests("Too many requests; try again later.", retry_after_seconds=seconds)


def _rate(a_minute: int) -> RateLimitItemPerMinute | None:
    return RateLimitItemPerMinute(a_minute) if a_minute else None


def _subscriber(address: str) -> str:
    """Return the network that counts as one client: the first 64 bits of an IPv6 address, else the address itself.

    A subscriber who has one IPv6 address has its whole /64 network (RFC 6177).
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    return f"{int(ip) >> 64:x}/64" if isinstance(ip, IPv6Address) and ip.ipv4_mapped is None else address
