"""A real MongoDB of the tests' own, and a fresh database in it for each test that asks."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest

from gridhaul.storage.connect import Database, connect
from gridhaul.storage.schema import make_payload_collections, make_registry_indexes
from tests.servers.mongod import mongod

MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - a directory with a name of its own is made in it


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    """In memory, where the system has a disk there: a thousand small indexes wait long for a real one."""
    place = MEMORY_DISK if os.access(MEMORY_DISK, os.W_OK) else None
    with TemporaryDirectory(prefix="gridhaul-", dir=place) as directory, mongod(Path(directory)) as url:
        yield url


@pytest.fixture
async def database(mongo_url: str) -> AsyncIterator[Database]:
    database = connect(mongo_url, f"test-{uuid4().hex}")
    await make_registry_indexes(database)
    await make_payload_collections(database, block_compressor="none")
    yield database
    await database.client.drop_database(database.name)
    await database.client.close()
