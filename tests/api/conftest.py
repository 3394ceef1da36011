"""Fixtures of the tests of the api: an api over MongoDB, and one for tests of logins."""

import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from limits.aio.storage import memory

from api.rate_limits import RateLimits
from gridhaul.identity.passwords import Passwords
from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import NewAccount, Scope
from tests.api.house import PASSWORD, WRONG_MOST, House
from tests.api.service import Api, serving
from tests.contracts.ports import LONG_LEASE_SECONDS, Ports, mongo_ports


@pytest.fixture
def ports(database: Database) -> Ports:
    return mongo_ports(database, lease_seconds=60)


@pytest.fixture
async def api(ports: Ports) -> AsyncIterator[Api]:
    async with serving(ports) as found:
        yield found


@pytest.fixture(scope="session")
async def password_hash() -> str:
    return await Passwords().hashed(PASSWORD)


@pytest.fixture
def one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock of the rate limits: their sliding window counts a request for less and less in the next minute."""
    now = time.time()
    monkeypatch.setattr(memory, "time", SimpleNamespace(time=lambda: now))


@pytest.fixture
async def house(database: Database, password_hash: str, one_minute: None) -> AsyncIterator[House]:
    accounts = MongoAccounts(database)
    await accounts.create(NewAccount(username="alice", scopes=(Scope.READ, Scope.DELETE), password_hash=password_hash))
    ports = mongo_ports(database, lease_seconds=LONG_LEASE_SECONDS)
    rate_limits = RateLimits(requests_a_minute=0, failed_logins_a_minute=WRONG_MOST)
    async with serving(ports, accounts=accounts, rate_limits=rate_limits) as api:
        api.http.headers.pop("Authorization")
        yield House(http=api.http, accounts=accounts)
