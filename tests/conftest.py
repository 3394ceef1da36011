"""A real MongoDB of the tests' own, and a fresh database in it for each test that asks."""

import signal
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from gridhaul.storage.connect import Database, connect
from gridhaul.storage.schema import make_payload_collections, make_registry_indexes
from tests.servers.mongod import in_memory, mongod


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell starts what it runs in the background with SIGINT ignored, and ours would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    """In memory: a thousand small indexes wait long for a real disk."""
    with in_memory() as directory, mongod(directory) as url:
        yield url


@pytest.fixture
async def database(mongo_url: str) -> AsyncIterator[Database]:
    database = connect(mongo_url, f"test-{uuid4().hex}")
    await make_registry_indexes(database)
    await make_payload_collections(database, block_compressor="none")
    yield database
    await database.client.drop_database(database.name)
    await database.client.close()
