"""Addresses that the rate limits count together."""

import pytest

from api.rate_limits import RateLimits
from gridhaul.transfer.errors import TooManyRequests


@pytest.fixture
def rate_limits(one_minute: None) -> RateLimits:
    return RateLimits(requests_a_minute=0, failed_logins_a_minute=1)


@pytest.mark.parametrize(
    ("first", "second"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::ffff:2"), ("fe80::1%eth0", "fe80::2"), ("", "")],
)
async def test_addresses_of_one_subscriber_are_counted_together(
    rate_limits: RateLimits, first: str, second: str
) -> None:
    await rate_limits.count_failed_login(first)
    with pytest.raises(TooManyRequests):
        await rate_limits.require_login(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1"), ("::ffff:192.0.2.1", "::ffff:192.0.2.2")],
)
async def test_addresses_of_two_subscribers_are_counted_apart(rate_limits: RateLimits, first: str, second: str) -> None:
    await rate_limits.count_failed_login(first)
    await rate_limits.require_login(second)
