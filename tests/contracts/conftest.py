"""Fixtures that run each suite with the memory twins and with a real MongoDB, or at the servers of targets."""

from collections.abc import Iterator

import pytest

from gridhaul.storage.connect import Database
from tests.contracts.ports import (
    LONG_LEASE_SECONDS,
    SHORT_LEASE_SECONDS,
    Ports,
    memory_ports,
    mongo_ports,
)
from tests.folders import NewFolder
from tests.targets.servers import Places, places


@pytest.fixture(params=["memory", "mongodb"])
def storage(request: pytest.FixtureRequest) -> Database | None:
    """Return the database, or None for the memory twins."""
    if request.param == "memory":
        return None
    database: Database = request.getfixturevalue("database")
    return database


@pytest.fixture
def ports(storage: Database | None) -> Ports:
    """Return ports whose leases do not end during a test."""
    return _ports(storage, LONG_LEASE_SECONDS)


@pytest.fixture
def short_leases(storage: Database | None) -> Ports:
    """Return ports whose leases end soon."""
    return _ports(storage, SHORT_LEASE_SECONDS)


def _ports(storage: Database | None, lease_seconds: float) -> Ports:
    if storage is None:
        return memory_ports(lease_seconds=lease_seconds)
    return mongo_ports(storage, lease_seconds=lease_seconds)


@pytest.fixture(scope="module")
def running(new_folder: NewFolder) -> Iterator[Places]:
    """Yield the places. Their servers end with the module, because each has a limited number of folders."""
    with new_folder("places") as folder, places(folder) as found:
        yield found
