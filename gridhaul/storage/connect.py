"""Clients of MongoDB with bounded waits and journaled majority writes, and PyMongo's errors mapped to Gridhaul's."""

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.collection import Collection as SyncCollection
from pymongo.database import Database as SyncDatabase
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    ProtocolError,
    PyMongoError,
    WriteConcernError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from gridhaul.process.settings import SettingsError
from gridhaul.transfer.errors import DatabaseUnavailable

Document = dict[str, Any]
Database = AsyncDatabase[Document]
Collection = AsyncCollection[Document]
ThreadsDatabase = SyncDatabase[Document]
ThreadsCollection = SyncCollection[Document]

DURABLE = WriteConcern(w="majority", j=True)
DECIDED = ReadConcern("majority")

PASSING_CODES = frozenset(
    {
        6,  # HostUnreachable
        7,  # HostNotFound
        43,  # CursorNotFound: the server that had the cursor open has stopped
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        134,  # ReadConcernMajorityNotAvailableYet
        175,  # QueryPlanKilled
        189,  # PrimarySteppedDown
        237,  # CursorKilled
        262,  # ExceededTimeLimit
        9001,  # SocketException
        10058,  # LegacyNotPrimary
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11601,  # Interrupted
        11602,  # InterruptedDueToReplStateChange
        13435,  # NotPrimaryNoSecondaryOk
        13436,  # NotPrimaryOrSecondary
        14031,  # OutOfDiskSpace: passes once the disk has free space again
    }
)

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=type)


def connect(url: str, database: str, *, at_once: int = 100) -> Database:
    """Return a database handle for the running event loop, to be closed with `await handle.client.close()`.

    No connection is opened yet. At most `at_once` operations run at once, each with its message in memory; further
    operations wait for a free connection. Raises SettingsError for a wrong URL.
    """
    with wrong_url_named():
        client = _Client(
            url,
            serverSelectionTimeoutMS=4000,
            connectTimeoutMS=4000,
            socketTimeoutMS=60000,
            maxPoolSize=at_once,
            waitQueueTimeoutMS=15000,
            appname="gridhaul",
        )
    options: CodecOptions[Document] = CodecOptions(tz_aware=True)
    return client.get_database(database, codec_options=options, write_concern=DURABLE, read_concern=DECIDED)


@contextmanager
def wrong_url_named() -> Iterator[None]:
    """Raise SettingsError if PyMongo refuses a URL. The message repeats nothing of the URL, which holds a password."""
    try:
        yield
    except OSError as error:
        raise SettingsError(f"GRIDHAUL_MONGO_URL: cannot read {error.filename}: {error.strerror}") from None
    except (ValueError, ConfigurationError):
        raise SettingsError(
            "GRIDHAUL_MONGO_URL: MongoDB's driver refuses the URL; look at its host and options, and percent-encode "
            "the user and the password"
        ) from None


def for_threads(database: Database) -> ThreadsDatabase:
    """Return the same database for threads, where receiving and decoding many bytes does not block the event loop."""
    client = database.client
    assert isinstance(client, _Client), "the database comes from `connect`"  # noqa: S101
    return client.twin.get_database(
        database.name,
        codec_options=database.codec_options,
        write_concern=database.write_concern,
        read_concern=database.read_concern,
    )


class _Client(AsyncMongoClient[Document]):
    """A client with a twin for threads. The twin opens no connection before it is used, and closes with the client."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self.twin: MongoClient[Document] = MongoClient(url, connect=False, **options)

    async def close(self) -> None:
        await super().close()
        await asyncio.to_thread(self.twin.close)


def as_bytes(value: object) -> bytes:
    """Return the value if it is bytes, else b"": a field may hold anything in a damaged database."""
    return value if isinstance(value, bytes) else b""


async def server_time(database: Database) -> datetime:
    """Return the database server's time."""
    answer = await database.command("hello", codec_options=database.codec_options)
    time: datetime = answer["localTime"]
    return time


async def ping(database: Database) -> None:
    """Raise DatabaseUnavailable if the database does not answer."""
    with database_errors():
        await database.client.admin.command("ping")


@contextmanager
def database_errors() -> Iterator[None]:
    """Raise DatabaseUnavailable in place of each of PyMongo's errors that may pass. No other code does this.

    A caller catches the errors that it handles itself inside the block. An error that does not pass is a mistake in
    Gridhaul's own code, and is raised unchanged.
    """
    try:
        yield
    except PyMongoError as error:
        if not may_pass(error):
            raise
        raise DatabaseUnavailable("The database does not answer as it should; try again.") from error


def may_pass(error: PyMongoError) -> bool:
    """Return whether server or network caused the error (an election, a stop, a timeout), and not the request."""
    if isinstance(error, (ConnectionFailure, ExecutionTimeout, ProtocolError, WriteConcernError)):
        return True
    if isinstance(error, BulkWriteError):
        failures = error.details["writeErrors"]
        return bool(error.details["writeConcernErrors"]) or any(one["code"] in PASSING_CODES for one in failures)
    return isinstance(error, OperationFailure) and error.code in PASSING_CODES


def maps_database_errors(cls: C) -> C:
    """Make each public coroutine method and async generator of the decorated class run within `database_errors`."""
    for name, member in list(vars(cls).items()):
        if name.startswith("_"):
            continue
        if inspect.iscoroutinefunction(member):
            setattr(cls, name, _mapped(member))
        elif inspect.isasyncgenfunction(member):
            setattr(cls, name, _mapped_generator(member))
    return cls


def _mapped(method: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    @functools.wraps(method)
    async def mapped(*args: P.args, **kwargs: P.kwargs) -> T:
        with database_errors():
            return await method(*args, **kwargs)

    return mapped


def _mapped_generator(method: Callable[P, AsyncGenerator[T]]) -> Callable[P, AsyncGenerator[T]]:
    @functools.wraps(method)
    async def mapped(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T]:
        with database_errors():
            async with aclosing(method(*args, **kwargs)) as items:
                async for item in items:
                    yield item

    return mapped
