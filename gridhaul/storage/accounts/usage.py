"""The bytes that an account's files count against its quota, in the field `used_bytes`, and their recount."""

from collections.abc import Sequence
from typing import Any

from gridhaul.storage.coalescer import Coalescer
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import LONGEST_REQUEST_SECONDS, NOW, after
from gridhaul.storage.majority_reads import read_with_catch_up
from gridhaul.storage.schema import USAGE_INDEX
from gridhaul.transfer.errors import QuotaExceeded
from gridhaul.transfer.ports.checking import Recount
from gridhaul.transfer.states import BYTES_GONE, FileState

_FIELDS: Document = {"username": 1, "quota_bytes": 1, "used_bytes": 1, "charged_at": 1}
USED: Document = {"$ifNull": ["$used_bytes", 0]}  # an account restored from an old dump may lack the field
COUNTED_STATES = sorted(state.value for state in FileState if state not in BYTES_GONE)


@maps_database_errors
class MongoUsage:
    """The port `transfer.ports.accounts.AccountUsage` on MongoDB.

    `quota_bytes` is the quota of accounts without a quota of their own; None means no limit.
    """

    def __init__(self, database: Database, *, quota_bytes: int | None) -> None:
        self._accounts = database["auth"]
        self._quota = {"$ifNull": ["$quota_bytes", quota_bytes]}
        self._quota_bytes = quota_bytes
        self._charges = Coalescer(self._charge_all)

    async def charge(self, owner: str, length_bytes: int) -> None:
        await self._charges.ask(owner, length_bytes)

    async def announce(self, owner: str) -> None:
        await self._accounts.update_one({"username": owner}, [{"$set": {"charged_at": NOW}}])

    async def release(self, owner: str, length_bytes: int) -> None:
        then = {"$max": [0, {"$subtract": [USED, length_bytes]}]}
        await self._accounts.update_one({"username": owner}, [{"$set": {"used_bytes": then}}])

    async def free_bytes(self, owner: str) -> int | None:
        account = await self._accounts.find_one({"username": owner}, _FIELDS) or {}
        own = account.get("quota_bytes")
        quota = self._quota_bytes if own is None else own
        return None if quota is None or not account else max(0, quota - (account.get("used_bytes") or 0))

    async def _charge_all(self, owner: str, lengths: Sequence[int]) -> Sequence[QuotaExceeded | None]:
        """Charge all lengths in one write if all fit, else each by itself. Return a refusal or None for each length."""
        refusal = await self._charge(owner, sum(lengths))
        if refusal is None or len(lengths) == 1:
            return [refusal] * len(lengths)
        return [await self._charge(owner, length) for length in lengths]

    async def _charge(self, owner: str, length_bytes: int) -> QuotaExceeded | None:
        then = {"$add": [USED, length_bytes]}
        fits = {"$or": [{"$eq": [self._quota, None]}, {"$lte": [then, self._quota]}]} if length_bytes else True
        charged = await self._accounts.update_one(
            {"username": owner, "$expr": fits}, [{"$set": {"used_bytes": then, "charged_at": NOW}}]
        )
        if charged.matched_count:
            return None
        wanted = {"username": owner}
        account = await read_with_catch_up(self._accounts, lambda: self._accounts.find_one(wanted, _FIELDS), found=bool)
        return None if account is None else self._refusal(account, length_bytes)

    def _refusal(self, account: Document, length_bytes: int) -> QuotaExceeded:
        own, used_bytes = account.get("quota_bytes"), account.get("used_bytes") or 0
        quota = self._quota_bytes if own is None else own
        return QuotaExceeded(
            f"The quota is {quota} bytes, {used_bytes} are used, and {length_bytes} more are needed; "
            "delete files to free their bytes."
        )


@maps_database_errors
class MongoRecounts:
    """The port `transfer.ports.checking.Recounts` on MongoDB.

    An account is recounted only when its last charge or announcement is `quiet_seconds` old. No charge or release can
    be under way then, so nothing changes the sum while it is read.
    """

    def __init__(self, database: Database, *, quiet_seconds: float = LONGEST_REQUEST_SECONDS) -> None:
        self._accounts = database["auth"]
        self._files = database["files"]
        # The condition is also true for an account that was never charged.
        self._quiet = {"$lte": ["$charged_at", after(-quiet_seconds)]}

    async def next(self, *, after: str) -> Recount | None:
        wanted = {"username": {"$gt": after}, "$expr": self._quiet}
        account = await self._accounts.find_one(wanted, _FIELDS, sort=[("username", 1)])
        if account is None:
            return None
        owner, used_bytes = account["username"], account.get("used_bytes") or 0
        counted_bytes = await read_with_catch_up(
            self._files, lambda: self._sum(owner), found=lambda counted: counted == used_bytes
        )
        return Recount(
            owner=owner, used_bytes=used_bytes, counted_bytes=counted_bytes, charged_at=account.get("charged_at")
        )

    async def set_right(self, found: Recount) -> bool:
        unchanged = {"$eq": [USED, found.used_bytes]}
        same = {"username": found.owner, "$expr": unchanged, "charged_at": found.charged_at}
        changed = await self._accounts.update_one(same, {"$set": {"used_bytes": found.counted_bytes}})
        return bool(changed.modified_count)

    async def _sum(self, owner: str) -> int:
        wanted = {"$match": {"owner": owner, "state": {"$in": COUNTED_STATES}}}
        summed = {"$group": {"_id": None, "bytes": {"$sum": "$length"}}}
        pipeline: Sequence[dict[str, Any]] = [wanted, summed]
        async for total in await self._files.aggregate(pipeline, hint=dict(USAGE_INDEX)):
            return int(total["bytes"])
        return 0
