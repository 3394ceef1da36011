"""The way to MongoDB: clients with bounded waits, majority and journaled writes, and its errors mapped to ours."""

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, ParamSpec, TypeVar

from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConnectionFailure, ExecutionTimeout, WriteConcernError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from gridhaul.transfer.errors import DatabaseUnavailable

Document = dict[str, Any]
Database = AsyncDatabase[Document]
Collection = AsyncCollection[Document]

DURABLE = WriteConcern(w="majority", j=True)
DECIDED = ReadConcern("majority")

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=type)


def connect(url: str, database: str) -> Database:
    """A database handle of the running event loop. Opens nothing yet; close with `handle.client.close()`."""
    client: AsyncMongoClient[Document] = AsyncMongoClient(
        url,
        serverSelectionTimeoutMS=4000,
        connectTimeoutMS=4000,
        socketTimeoutMS=60000,
        appname="gridhaul",
    )
    options: CodecOptions[Document] = CodecOptions(tz_aware=True)
    return client.get_database(database, codec_options=options, write_concern=DURABLE, read_concern=DECIDED)


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
    except (ConnectionFailure, ExecutionTimeout, WriteConcernError) as error:
        raise DatabaseUnavailable("The database does not answer as it should; try again.") from error


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
