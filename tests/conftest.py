"""A real MongoDB of the tests' own, and a fresh database in it for each test that asks."""

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
    """A shell starts what it runs in the background with SIGINT ignored, and ours would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    """In memory: a thousand small indexes wait long for a real disk."""
    with in_memory() as directory, mongod(directory) as url:
        yield url


@pytest.fixture(scope="session")
def used_databases() -> list[str]:
    """Names of databases that tests have left empty, the last one at the end.

    Making all indexes takes longer than most tests. The last ones rest: a write that a test gave up may still arrive.
    """
    return []


@pytest.fixture
async def database(mongo_url: str, used_databases: list[str]) -> AsyncIterator[Database]:
    name = used_databases.pop(0) if len(used_databases) > RESTING else f"test-{uuid4().hex}"
    database = connect(mongo_url, name)
    await make_registry_indexes(database)  # also those that a test has dropped
    await make_payload_collections(database, block_compressor="none")
    yield database
    collections = await database.list_collection_names()
    if any(collection.startswith("system.") for collection in collections):  # it was profiled
        await database.client.drop_database(name)
    else:
        await asyncio.gather(*(database[collection].delete_many({}) for collection in collections))
        used_databases.append(name)
    await database.client.close()
