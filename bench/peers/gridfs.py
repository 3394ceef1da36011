"""GridFS by its drivers: PyMongo, PyMongo's asyncio API, and Motor. The latter two run on uvloop, as Gridhaul does."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from bson import ObjectId
from gridfs import GridFSBucket
from gridfs.asynchronous import AsyncGridFSBucket
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorGridFSBucket
from pymongo import AsyncMongoClient, MongoClient
from pymongo.write_concern import WriteConcern

T = TypeVar("T")
Document = dict[str, Any]

DATABASE = "peer"
CHUNK_BYTES = 1 << 20
DURABLE = WriteConcern(w="majority", j=True)  # Gridhaul writes with this write concern, so its peers do, too


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A GridFS bucket. An upload is durable when `upload` returns."""

    upload: Callable[[Path], ObjectId]
    delete: Callable[[ObjectId], None]


def grid_of(client: MongoClient[Document]) -> GridFSBucket:
    return GridFSBucket(client.get_database(DATABASE, write_concern=DURABLE), chunk_size_bytes=CHUNK_BYTES)


@contextmanager
def pymongo_bucket(url: str) -> Iterator[Bucket]:
    with MongoClient[Document](url) as client:
        grid = grid_of(client)

        def upload(path: Path) -> ObjectId:
            with path.open("rb") as file:
                return grid.upload_from_stream(path.name, file)

        yield Bucket(upload=upload, delete=grid.delete)


@contextmanager
def async_pymongo_bucket(url: str) -> Iterator[Bucket]:
    with _runner() as runner:
        client = AsyncMongoClient[Document](url)
        database = client.get_database(DATABASE, write_concern=DURABLE)
        yield _awaited(AsyncGridFSBucket(database, chunk_size_bytes=CHUNK_BYTES), runner)
        runner.run(client.close())


@contextmanager
def motor_bucket(url: str) -> Iterator[Bucket]:
    with _runner() as runner:
        client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(url, io_loop=runner.get_loop())
        database = client.get_database(DATABASE, write_concern=DURABLE)
        yield _awaited(AsyncIOMotorGridFSBucket(database, chunk_size_bytes=CHUNK_BYTES), runner)
        client.close()


def _runner() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def _awaited(grid: AsyncGridFSBucket | AsyncIOMotorGridFSBucket, runner: asyncio.Runner) -> Bucket:
    async def upload(path: Path) -> ObjectId:
        with path.open("rb") as file:
            return ObjectId(await grid.upload_from_stream(path.name, file))

    async def delete(file_id: ObjectId) -> None:
        await grid.delete(file_id)

    return Bucket(upload=_running(upload, runner), delete=_running(delete, runner))


def _running(action: Callable[..., Coroutine[Any, Any, T]], runner: asyncio.Runner) -> Callable[..., T]:
    return lambda argument: runner.run(action(argument))
