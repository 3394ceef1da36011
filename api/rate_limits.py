"""How often somebody may ask. Counted in each process of its own, so that no other server can be in the way."""

import time
from ipaddress import IPv6Address, ip_address

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from gridhaul.transfer.access import Account
from gridhaul.transfer.errors import TooManyRequests


class RateLimits:
    """Requests a minute, over the last minute. Belongs to one event loop."""

    def __init__(self, *, requests_a_minute: int, failed_logins_a_minute: int) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._requests = _item(requests_a_minute)
        self._logins = _item(failed_logins_a_minute)

    async def count(self, account: Account) -> None:
        """Raises TooManyRequests if the account is over its rate."""
        if self._requests and not await self._limiter.hit(self._requests, "account", account.username):
            raise await self._refusal(self._requests, "account", account.username)

    async def require_login(self, address: str) -> None:
        """Raises TooManyRequests if too many logins failed from there, whatever the names."""
        who = ("login", _subscriber(address))
        if self._logins and not await self._limiter.test(self._logins, *who):
            raise await self._refusal(self._logins, *who)

    async def count_failed_login(self, address: str) -> None:
        if self._logins:
            await self._limiter.hit(self._logins, "login", _subscriber(address))

    async def _refusal(self, item: RateLimitItemPerMinute, *who: str) -> TooManyRequests:
        window = await self._limiter.get_window_stats(item, *who)
        seconds = max(1.0, window.reset_time - time.time())
        return TooManyRequests("Too many requests; come again later.", retry_after_seconds=seconds)


def _item(amount: int) -> RateLimitItemPerMinute | None:
    return RateLimitItemPerMinute(amount) if amount else None


def _subscriber(address: str) -> str:
    """Whoever has one IPv6 address has all of its network of 64 bits (RFC 6177)."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    return f"{int(ip) >> 64:x}/64" if isinstance(ip, IPv6Address) and ip.ipv4_mapped is None else address
