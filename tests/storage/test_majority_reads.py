"""A primary holds more than it knows to be confirmed, as a new primary does: no read takes that data for missing."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

import pytest
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from gridhaul.storage.connect import Database, connect
from gridhaul.storage.content.contents import MongoContents
from gridhaul.storage.content.intake import MongoIntake
from gridhaul.storage.files import MongoFiles
from gridhaul.storage.schema import make_payload_collections, make_registry_indexes
from gridhaul.transfer.model import File
from gridhaul.transfer.states import ContentState
from tests.contracts.bytes_to_store import MIB, opened, read, seal_of, sealed, segments, some_bytes, store
from tests.contracts.ports import new_file
from tests.servers.replica_set import ReplicaSet, replica_set

PATIENT_SECONDS = 120  # so long that no election happens
LOOK_SECONDS = 1  # work that does not wait for the majority, such as 17 MiB stored and read, ends in this time
CONFIRMED_SECONDS = 30


class Lagging:
    """A database on three servers; `ahead` reads and writes data that the majority has not confirmed."""

    def __init__(self, mongods: ReplicaSet, database: Database) -> None:
        self._mongods = mongods
        self.database = database
        self.ahead = database.with_options(write_concern=WriteConcern(1), read_concern=ReadConcern("local"))

    async def stopped(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Start the work while the majority confirms nothing, require that it waits, and return its result."""
        with self._mongods.unconfirmed(self._mongods.wait_for_primary()):
            task = asyncio.create_task(work)
            await asyncio.wait([task], timeout=LOOK_SECONDS)
            assert not task.done(), f"the work did not wait: {task}"
        return await asyncio.wait_for(task, CONFIRMED_SECONDS)


@pytest.fixture(scope="module")
def mongods() -> Iterator[ReplicaSet]:
    with replica_set(election_seconds=PATIENT_SECONDS) as found:
        yield found


@pytest.fixture
async def lagging(mongods: ReplicaSet) -> AsyncIterator[Lagging]:
    database = connect(mongods.url, "files")
    await make_payload_collections(database, block_compressor="none")
    yield Lagging(mongods, database)
    await database.client.close()


@pytest.mark.parametrize("few_readers", [False, True])
@pytest.mark.parametrize(("limit", "length"), [(0, 17 * MIB + 5), (15, 3 * MIB)], ids=["gridfs", "inline"])
async def test_chunk_is_waited_for_and_not_missing(
    lagging: Lagging, limit: int, length: int, few_readers: bool
) -> None:
    data = some_bytes(length)

    async def store_and_read() -> bytearray:
        intake = MongoIntake(lagging.ahead, inline_limit_chunks=limit)
        content = await sealed(MongoContents(lagging.ahead), intake, data)
        return await read(MongoContents(lagging.database, few_readers=few_readers), content)

    assert await lagging.stopped(store_and_read()) == data


@pytest.mark.parametrize(("limit", "length"), [(0, 17 * MIB + 5), (15, 3 * MIB)], ids=["gridfs", "inline"])
async def test_content_is_waited_for_and_not_incomplete(lagging: Lagging, limit: int, length: int) -> None:
    data = some_bytes(length)
    content = await opened(MongoContents(lagging.database), length)

    async def store_and_seal() -> ContentState:
        for part in segments(data):
            await store(MongoIntake(lagging.ahead, inline_limit_chunks=limit), content, part)
        intake = MongoIntake(lagging.database, inline_limit_chunks=limit)
        return (await intake.seal(content.id, fence=content.fence, seal=seal_of(data))).state

    assert await lagging.stopped(store_and_seal()) is ContentState.SEALED


async def test_fence_is_waited_for_and_not_stale(lagging: Lagging) -> None:
    data = some_bytes(MIB)
    first = await opened(MongoContents(lagging.database), MIB)

    async def take_over_and_store() -> bool:
        content = await opened(MongoContents(lagging.ahead), MIB, fence=2, content_id=first.id)
        (part,) = segments(data)
        return await store(MongoIntake(lagging.database, inline_limit_chunks=15), content, part)

    assert await lagging.stopped(take_over_and_store())


async def test_file_is_waited_for_and_not_unknown(lagging: Lagging) -> None:
    async def register_and_get() -> File | None:
        file, _ = await MongoFiles(lagging.ahead, lease_seconds=60).register(new_file())
        return await MongoFiles(lagging.database, lease_seconds=60).get(file.id)

    assert await lagging.stopped(register_and_get()) is not None


async def test_repeated_prepare_waits_for_the_first_one(lagging: Lagging) -> None:
    async def register_twice() -> bool:
        await make_registry_indexes(lagging.database)
        first, _ = await MongoFiles(lagging.ahead, lease_seconds=60).register(new_file(key="k"))
        same, made = await MongoFiles(lagging.database, lease_seconds=60).register(new_file(key="k"))
        return same.id == first.id and not made

    assert await lagging.stopped(register_twice())
