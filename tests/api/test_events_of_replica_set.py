"""The reader of events on a replica set tells of writes that are confirmed late, and of those around an election."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
from pymongo.write_concern import WriteConcern

from api.events.feed import EventFeed
from api.events.log import Listener, Sight
from api.obstacles import Obstacles
from gridhaul.storage.connect import Database, connect
from gridhaul.storage.events import MongoChanges
from gridhaul.storage.files import MongoFiles
from gridhaul.storage.schema import make_registry_indexes
from gridhaul.transfer.broker_health import BrokerContents
from gridhaul.transfer.changes import OVERLAP
from gridhaul.transfer.errors import DatabaseUnavailable
from tests.contracts.memory_heartbeats import MemoryHeartbeatLookup
from tests.contracts.ports import new_file
from tests.servers.replica_set import ReplicaSet, replica_set

PATIENT_SECONDS = 60  # the primary stays, although the others are silent
LATE_SECONDS = OVERLAP.total_seconds() + 4


@pytest.fixture
def mongods(request: pytest.FixtureRequest) -> Iterator[ReplicaSet]:
    with replica_set(election_seconds=request.param) as found:
        yield found


@asynccontextmanager
async def listening(mongods: ReplicaSet) -> AsyncIterator[tuple[Database, Listener]]:
    """Yield the database of the set, and a listener of all its changes."""
    database = connect(mongods.url, "files")
    await make_registry_indexes(database)
    feed = EventFeed(MongoChanges(database), Obstacles(MemoryHeartbeatLookup(), _no_broker))
    try:
        with feed.listening(Sight(owner=None)) as listener:
            yield database, listener
    finally:
        await database.client.close()


async def _no_broker() -> BrokerContents:
    return BrokerContents(taken=frozenset(), foreign_messages=0)


async def _told(listener: Listener, *names: str) -> None:
    """Wait until the listener was told of files with all these names."""
    missing = set(names)
    async with asyncio.timeout(30):
        while missing:
            await listener.wait(1)
            lines = listener.take().decode().splitlines()
            missing -= {json.loads(line[6:])["name"] for line in lines if line.startswith("data: ")}


@pytest.mark.parametrize("mongods", [PATIENT_SECONDS], indirect=True)
async def test_write_that_the_majority_confirms_late_is_told_then(mongods: ReplicaSet) -> None:
    async with listening(mongods) as (database, listener):
        files, changes = MongoFiles(database, lease_seconds=30), MongoChanges(database)
        await files.register(new_file(name="before"))
        await _told(listener, "before")
        hasty = MongoFiles(database, lease_seconds=30)
        hasty._collection = database["files"].with_options(write_concern=WriteConcern(w=1))
        with mongods.unconfirmed(mongods.wait_for_primary()):
            late, _ = await hasty.register(new_file(name="late"))
            await asyncio.sleep(LATE_SECONDS)
            later, _ = await hasty.register(new_file(name="later"))
            assert late.changed_at is not None
            assert later.changed_at is not None
            assert later.changed_at - late.changed_at > OVERLAP
            assert (await changes.horizon() - late.changed_at).total_seconds() < 2, "it waits for the majority"
            assert not listener.take()
        await _told(listener, "late", "later")


@pytest.mark.parametrize("mongods", [2], indirect=True)
async def test_changes_around_an_election_are_told(mongods: ReplicaSet) -> None:
    async with listening(mongods) as (database, listener):
        files = MongoFiles(database, lease_seconds=30)
        made = list[str]()

        async def register(count: int) -> None:
            while len(made) < count:
                name = f"{len(made)}"
                with suppress(DatabaseUnavailable):
                    await files.register(new_file(name=name, key=name))
                    made.append(name)

        await register(50)
        await asyncio.to_thread(mongods.kill, mongods.wait_for_primary())
        await register(100)
        await _told(listener, *made)
