"""Fixtures: a real MongoDB for the tests, and an empty database in it for each test that asks for one.

`make test` runs the tests in several processes (pytest-xdist), each with a MongoDB of its own. Tests of one file run in
one process, one after the other (`--dist loadfile`), so that only one process makes the fixtures of a file. The files
are handed out in the order in which pytest finds them (`--no-loadscope-reorder`), so that each process comes to a
package once, and makes its fixtures once.

A test that measures a short time is marked `alone`: no other process runs a test meanwhile.
"""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from filelock import ReadWriteLock

from gridhaul.storage.connect import Database, connect
from gridhaul.storage.schema import make_payload_collections, make_registry_indexes
from tests.folders import NewFolder
from tests.servers.mongod import in_memory, mongod

RESTING = 8


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run the test beside those of other processes, or alone. The wait counts neither for its time nor its timeout."""
    assert item.config.cache is not None
    running = ReadWriteLock(item.config.cache.mkdir("running") / "tests.db")
    with running.write_lock() if item.get_closest_marker("alone") else running.read_lock():
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Handle SIGINT. A shell starts background processes with SIGINT ignored, and child processes inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def new_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewFolder:
    """Return a function that makes folders for module and package fixtures, and removes them with the fixture.

    pytest would keep these folders until its last test, and their servers' files would fill the disk.
    """

    @contextmanager
    def new(name: str) -> Iterator[Path]:
        path = tmp_path_factory.mktemp(name)
        failed_before = request.session.testsfailed
        yield path
        if request.session.testsfailed == failed_before:
            shutil.rmtree(path, ignore_errors=True)

    return new


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    """Yield the URL of a MongoDB whose files are in memory: on a disk, making the many small indexes takes long."""
    with in_memory() as directory, mongod(directory) as url:
        yield url


class DatabasePool:
    """Databases with all indexes, emptied and used again: making them takes longer than most tests.

    The latest `RESTING` databases rest before they are emptied, because a write that a test gave up may still arrive.
    Their clients stay connected: closing a client right after its first use may leave a socket unclosed, because
    PyMongo then cancels its own connecting.

    The clients poll the server. The event loop stands still while a test without it runs. A client that waits for the
    server's next message meanwhile would take the pause for a timeout, and cancel the first command after it.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._databases: list[Database] = []
        self._complete: tuple[int, int] | None = None  # how many collections and indexes a database has

    async def take(self) -> Database:
        if len(self._databases) > RESTING:
            database = self._databases.pop(0)
            names = await database.list_collection_names()
            await asyncio.gather(*(database[name].delete_many({}) for name in names))
            return database
        database = connect(f"{self._url}/?serverMonitoringMode=poll", f"test-{uuid4().hex}")
        await make_registry_indexes(database)
        await make_payload_collections(database, block_compressor="none")
        if self._complete is None:
            self._complete = await _schema(database)
        return database

    async def give_back(self, database: Database) -> None:
        """Keep the database, or drop it if the test dropped or added a collection or an index."""
        if await _schema(database) == self._complete:
            self._databases.append(database)
        else:
            await database.client.drop_database(database.name)
            await database.client.close()

    async def close(self) -> None:
        for database in self._databases:
            await database.client.close()


async def _schema(database: Database) -> tuple[int, int]:
    stats = await database.command("dbStats")
    return stats["collections"], stats["indexes"]


@pytest.fixture(scope="session")
async def database_pool(mongo_url: str) -> AsyncIterator[DatabasePool]:
    pool = DatabasePool(mongo_url)
    yield pool
    await pool.close()


@pytest.fixture
async def database(database_pool: DatabasePool) -> AsyncIterator[Database]:
    database = await database_pool.take()
    yield database
    await database_pool.give_back(database)
