"""The sizes of the store are those that a real MongoDB tells."""

import os

from gridhaul.storage.connect import Database
from tests.contracts.ports import mongo_ports


async def test_data_grows_by_what_is_stored(database: Database) -> None:
    measuring = mongo_ports(database, lease_seconds=60).store_measuring
    before = await measuring.measure()
    await database["fs.chunks"].insert_one({"data": os.urandom(1 << 20)})
    after = await measuring.measure()
    assert before.data_bytes is not None
    assert after.data_bytes is not None
    assert 1 << 20 <= after.data_bytes - before.data_bytes < (1 << 20) + 1000
    assert before.measured_at <= after.measured_at


async def test_used_and_free_bytes_are_the_whole_file_system(database: Database) -> None:
    size = await mongo_ports(database, lease_seconds=60).store_measuring.measure()
    assert size.total_bytes is not None
    assert size.used_bytes is not None
    assert size.free_bytes is not None
    assert 0 < size.used_bytes < size.total_bytes
    assert size.free_bytes == size.total_bytes - size.used_bytes
