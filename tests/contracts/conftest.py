"""Each suite runs with the memory twins and with a real MongoDB of its own."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from gridhaul.storage import contents
from gridhaul.storage.connect import Database, connect
from gridhaul.storage.schema import make_payload_collections, make_registry_indexes
from tests.contracts.ports import (
    LONG_LEASE_SECONDS,
    SHORT_LEASE_SECONDS,
    SWEEP_AFTER_SECONDS,
    Ports,
    memory_ports,
    mongo_ports,
)
from tests.servers.mongod import mongod


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mongod(tmp_path_factory.mktemp("mongodb")) as url:
        yield url


@pytest.fixture
async def database(mongo_url: str) -> AsyncIterator[Database]:
    database = connect(mongo_url, f"test-{uuid4().hex}")
    await make_registry_indexes(database)
    await make_payload_collections(database, block_compressor="none")
    yield database
    await database.client.drop_database(database.name)
    await database.client.close()


@pytest.fixture(params=["memory", "mongodb"])
def storage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Database | None:
    """The database, or None for the twins."""
    if request.param == "memory":
        return None
    monkeypatch.setattr(contents, "LONGEST_REQUEST_SECONDS", SWEEP_AFTER_SECONDS)
    database: Database = request.getfixturevalue("database")
    return database


@pytest.fixture
def ports(storage: Database | None) -> Ports:
    """No lease ends during a test."""
    return _ports(storage, LONG_LEASE_SECONDS)


@pytest.fixture
def short_leases(storage: Database | None) -> Ports:
    """Leases end soon."""
    return _ports(storage, SHORT_LEASE_SECONDS)


def _ports(storage: Database | None, lease_seconds: float) -> Ports:
    if storage is None:
        return memory_ports(lease_seconds=lease_seconds)
    return mongo_ports(storage, lease_seconds=lease_seconds)
