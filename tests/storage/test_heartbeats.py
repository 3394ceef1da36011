"""Heartbeats carry the database's time: the clocks of workers and api do not matter."""

import shutil
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta

import pytest

from gridhaul.storage.connect import Database
from gridhaul.storage.heartbeats import MongoHeartbeatLookup, MongoHeartbeats
from gridhaul.transfer.model import Queue
from gridhaul.transfer.worker_health import KEPT_SECONDS, SILENT_SECONDS
from tests.journeys.processes import PROJECT

SMALL = frozenset({Queue.SMALL})
BEAT = textwrap.dedent("""
    import asyncio, sys
    from gridhaul.storage.connect import connect
    from gridhaul.storage.heartbeats import MongoHeartbeats
    from gridhaul.transfer.model import Queue

    async def beat(url, name):
        database = connect(url, name)
        await MongoHeartbeats(database, holder="process", worker="worker").beat(
            frozenset({Queue.SMALL}), None, passed_over=0
        )
        await database.client.close()

    asyncio.run(beat(*sys.argv[1:]))
""")


@pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not installed")
@pytest.mark.parametrize("shift", ["-10m", "+10m"])
async def test_heartbeat_of_a_worker_whose_clock_is_off_is_fresh(
    database: Database, mongo_url: str, shift: str
) -> None:
    command = ["faketime", "-f", shift, sys.executable, "-c", BEAT, mongo_url, database.name]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=60)  # noqa: ASYNC221 - nothing else runs in the loop
    (group,) = await MongoHeartbeatLookup(database).groups()
    assert 0 <= group.seconds_ago < SILENT_SECONDS


async def test_process_that_fell_silent_does_not_count_as_living(database: Database) -> None:
    for _ in range(2):
        await MongoHeartbeats(database, holder="host:1", worker="worker").beat(SMALL, None, passed_over=0)
    silent = datetime.now(UTC) - timedelta(seconds=SILENT_SECONDS + 60)
    await database["workers"].update_one({}, {"$set": {"seen_at": silent}})
    (group,) = await MongoHeartbeatLookup(database).groups()
    assert group.living == 1
    assert group.seconds_ago < SILENT_SECONDS


async def test_heartbeat_of_an_older_version_tells_no_version(database: Database) -> None:
    await MongoHeartbeats(database, holder="a:host:1", worker="worker").beat(SMALL, None, passed_over=0)
    await database["workers"].update_one({}, {"$unset": {"version": 1, "worker": 1}})
    (group,) = await MongoHeartbeatLookup(database).groups()
    assert (group.worker, group.host, group.version) == (None, "a:host", None)


async def test_database_forgets_heartbeats_by_itself(database: Database) -> None:
    indexes = await database["workers"].index_information()
    assert {index.get("expireAfterSeconds") for index in indexes.values()} == {None, KEPT_SECONDS}
