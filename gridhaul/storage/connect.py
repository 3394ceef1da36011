"""The way to MongoDB: clients with bounded waits, majority and journaled writes, and its errors mapped to ours."""

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, ParamSpec, TypeVar

from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.collection import Collection as SyncCollection
from pymongo.database import Database as SyncDatabase
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    ProtocolError,
    PyMongoError,
    WriteConcernError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

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
        43,  # CursorNotFound: it was on a server that is gone
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
        14031,  # OutOfDiskSpace: until there is some
    }
)

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=type)


def connect(url: str, database: str, *, at_once: int = 100) -> Database:
    """A database handle of the running event loop. Opens nothing yet; close with `await handle.client.close()`.

    At most `at_once` operations are under way, each with its message in memory; others wait their turn.
    """
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


def for_threads(database: Database) -> ThreadsDatabase:
    """The same database for threads: what receives and decodes many bytes holds up no event loop there."""
    client = database.client
    assert isinstance(client, _Client), "it is from `connect`"  # noqa: S101
    return client.twin.get_database(
        database.name,
        codec_options=database.codec_options,
        write_concern=database.write_concern,
        read_concern=database.read_concern,
    )


class _Client(AsyncMongoClient[Document]):
    """Has a twin for threads, which opens nothing before it is used, and is closed with it."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self.twin: MongoClient[Document] = MongoClient(url, connect=False, **options)

    async def close(self) -> None:
        await super().close()
        await asyncio.to_thread(self.twin.close)


def as_bytes(value: object) -> bytes:
    """The bytes of a field that, in a damaged database, may hold anything; b"" if it holds others."""
    return value if isinstance(value, bytes) else b""


async def ping(database: Database) -> None:
    """Raises DatabaseUnavailable."""
    with database_errors():
        await database.client.admin.command("ping")


@contextmanager
def database_errors() -> Iterator[None]:
    """The one place where PyMongo's errors become ours.

    What a caller handles itself it catches inside; what the database refuses for good is a mistake of ours, and passes.
    """
    try:
        yield
    except PyMongoError as error:
        if not may_pass(error):
            raise
        raise DatabaseUnavailable("The database does not answer as it should; try again.") from error


def may_pass(error: PyMongoError) -> bool:
    """Whether the server or the way to it is the trouble (an election, a stop, a wait), and not what was asked."""
    if isinstance(error, (ConnectionFailure, ExecutionTimeout, ProtocolError, WriteConcernError)):
        return True
    if isinstance(error, BulkWriteError):
        failures = error.details["writeErrors"]
        return bool(error.details["writeConcernErrors"]) or any(one["code"] in PASSING_CODES for one in failures)
    return isinstance(error, OperationFailure) and error.code in PASSING_CODES


def maps_database_errors(cls: C) -> C:
    """Class decorator: every public coroutine method and async generator runs within `database_errors`."""
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
