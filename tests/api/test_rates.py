"""Who is counted as one."""

import pytest

from api.rates import Rates
from gridhaul.transfer.errors import TooManyRequests


@pytest.fixture
def rates(one_minute: None) -> Rates:
    return Rates(requests_a_minute=0, failed_logins_a_minute=1)


@pytest.mark.parametrize(
    ("first", "second"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::ffff:2"), ("fe80::1%eth0", "fe80::2"), ("", "")],
)
async def test_addresses_of_one_subscriber_are_counted_together(rates: Rates, first: str, second: str) -> None:
    await rates.count_failed_login(first)
    with pytest.raises(TooManyRequests):
        await rates.require_login(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1"), ("::ffff:192.0.2.1", "::ffff:192.0.2.2")],
)
async def test_addresses_of_two_subscribers_are_counted_apart(rates: Rates, first: str, second: str) -> None:
    await rates.count_failed_login(first)
    await rates.require_login(second)
