"""Fixtures: a real MongoDB for the tests, and an empty database in it for each test that asks for one."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from gridhaul.storage.connect import Database, connect
from gridhaul.storage.schema import make_payload_collections, make_registry_indexes
from tests.servers.mongod import in_memory, mongod

RESTING = 8


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Handle SIGINT. A shell starts background processes with SIGINT ignored, and child processes inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    """Yield the URL of a MongoDB whose files are in memory: on a disk, making the many small indexes takes long."""
    with in_memory() as directory, mongod(directory) as url:
        yield url


@pytest.fixture(scope="session")
def used_databases() -> list[str]:
    """Return the names of databases that tests have emptied, the latest at the end.

    Tests use these databases again, because making all indexes takes longer than most tests. The latest `RESTING`
    databases rest: a write that a test gave up may still arrive there.
    """
    return []


@pytest.fixture
async def database(mongo_url: str, used_databases: list[str]) -> AsyncIterator[Database]:
    name = used_databases.pop(0) if len(used_databases) > RESTING else f"test-{uuid4().hex}"
    database = connect(mongo_url, name)
    await make_registry_indexes(database)  # makes indexes again that a test has dropped
    await make_payload_collections(database, block_compressor="none")
    yield database
    collections = await database.list_collection_names()
    if any(collection.startswith("system.") for collection in collections):  # the test used the profiler
        await database.client.drop_database(name)
    else:
        await asyncio.gather(*(database[collection].delete_many({}) for collection in collections))
        used_databases.append(name)
    await database.client.close()
