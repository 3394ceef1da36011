"""The checks that start at set times. Any number of processes may ask; each due check is queued once."""

from collections.abc import Mapping, Sequence

from gridhaul.storage.checking.checks import MongoChecks
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import NOW, after
from gridhaul.transfer.checks import Check, CheckKind, NewCheck

OLD_CHECKS_KEPT = 100
CLAIM_SECONDS = 60.0  # how long a process that found a check due may take to open it


@maps_database_errors
class MongoSchedule:
    """The port `transfer.ports.checking.CheckSchedule` on MongoDB.

    The collection `dispatcher` holds, for each kind of check, the time when the next check is due, on the server's
    clock. The first check is due a whole period after the first start. A process that finds a check due postpones it by
    CLAIM_SECONDS with a compare-and-set, which succeeds in one process only, then opens the check and writes the next
    time. If the process crashes in between, another process finds the check due again after CLAIM_SECONDS.
    """

    def __init__(self, database: Database, checks: MongoChecks, periods: Mapping[NewCheck, float]) -> None:
        """Take the period of each check, in seconds."""
        self._collection = database["dispatcher"]
        self._checks = checks
        self._periods = periods
        self._begun = False

    async def open_due(self) -> Sequence[Check]:
        if not self._begun:
            for new, seconds in self._periods.items():
                await self._begin(new.kind, seconds)
            self._begun = True
        opened = [
            await self._open(new, seconds) for new, seconds in self._periods.items() if await self._take(new.kind)
        ]
        return [check for check in opened if check is not None]

    async def _begin(self, kind: CheckKind, seconds: float) -> None:
        """Write the first time. If the period is shorter now than before, bring the next time forward."""
        soonest: Document = {"$min": ["$next_at", after(seconds)]}
        await self._collection.update_one({"_id": kind.value}, [{"$set": {"next_at": soonest}}], upsert=True)

    async def _take(self, kind: CheckKind) -> bool:
        due = {"_id": kind.value, "$expr": {"$lte": ["$next_at", NOW]}}
        put_off = await self._collection.update_one(due, [{"$set": {"next_at": after(CLAIM_SECONDS)}}])
        return put_off.modified_count == 1

    async def _open(self, new: NewCheck, seconds: float) -> Check | None:
        check, queued = await self._checks.open(new)
        await self._checks.forget(new.kind, keep=OLD_CHECKS_KEPT)
        await self._collection.update_one({"_id": new.kind.value}, [{"$set": {"next_at": after(seconds)}}])
        return check if queued else None
