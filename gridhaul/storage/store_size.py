"""The size of the store, as MongoDB tells it, and the orphans that the newest finished check found."""

from pymongo import DESCENDING

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, maps_database_errors, server_time
from gridhaul.transfer.checks import Check, CheckKind, CheckState
from gridhaul.transfer.store_size import Orphans, StoreSize

MEASURE_MS = 5000  # the longest that each question to the database may take
OF_GC: Document = {"kind": CheckKind.GC.value, "state": CheckState.DONE.value}


@maps_database_errors
class MongoStoreMeasuring:
    """The port `transfer.ports.store_size.StoreMeasuring` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._codec = Codec(Check)

    async def measure(self) -> StoreSize:
        measured_at = await server_time(self._database)
        stats = await self._database.command("dbStats", maxTimeMS=MEASURE_MS)
        return StoreSize(
            total_bytes=_told(stats, "fsTotalSize"),
            used_bytes=_told(stats, "fsUsedSize"),
            data_bytes=_told(stats, "dataSize"),
            orphans=await self._orphans(),
            measured_at=measured_at,
        )

    async def _orphans(self) -> Orphans | None:
        checks = self._database["checks"].find(OF_GC, {"findings": 0}).sort("_id", DESCENDING).limit(1)
        newest = [self._codec.decode(document) for document in await checks.max_time_ms(MEASURE_MS).to_list()]
        return Orphans.found_by(newest[0]) if newest else None


def _told(stats: Document, name: str) -> int | None:
    """Return the size as an integer: the server tells sizes as floats. None if the server does not tell the size."""
    return int(stats[name]) if name in stats else None
