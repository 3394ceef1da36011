"""Leases of many new files, for bundles: one write claims, finishes or releases all of them."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from bson import ObjectId
from pymongo.errors import ConnectionFailure, WriteConcernError

from gridhaul.storage.connect import Document, maps_database_errors
from gridhaul.storage.history import WITHOUT_HISTORY
from gridhaul.storage.lease import DUE_AND_FREE, GONE, NOW, LeasedCollection
from gridhaul.storage.majority_reads import catch_up
from gridhaul.storage.value_per_record import ids_of, value_per_record
from gridhaul.transfer.bundle import BUNDLED_FILE_BYTES
from gridhaul.transfer.model import File, Lease, RecordId
from gridhaul.transfer.states import FileState

NEW_AND_SMALL: Document = {
    "state": FileState.REGISTERED.value,
    "attempts": 0,
    "content_id": None,
    "length": {"$lte": BUNDLED_FILE_BYTES},
}


@maps_database_errors
class BundledFiles(LeasedCollection[File, FileState]):
    """The port `transfer.ports.files.BundledFiles` on MongoDB."""

    async def get_all(self, file_ids: Collection[RecordId]) -> Sequence[File]:
        cursor = self._collection.find(ids_of(file_ids), WITHOUT_HISTORY)
        return [self._codec.decode(document) async for document in cursor]

    async def claim_new(self, contents: Mapping[RecordId, RecordId], *, holder: str) -> Sequence[File]:
        wanted = ids_of(contents)
        content_id = value_per_record({file_id: ObjectId(content_id) for file_id, content_id in contents.items()})
        counts = {name: {"$add": [f"${name}", 1]} for name in ("fence", "attempts", "fruitless_attempts")}
        values = {"state": FileState.STORING, "lease_holder": holder}
        taken = self._pipeline(values, content_id=content_id, **counts, **self._held())
        try:
            await self._write_all({**wanted, **NEW_AND_SMALL, "$expr": DUE_AND_FREE}, taken)
        except (ConnectionFailure, WriteConcernError):  # the files may be claimed, although no answer arrived
            await catch_up(self._collection)
        cursor = self._collection.find(wanted, WITHOUT_HISTORY)
        return [self._codec.decode(document) async for document in cursor]

    async def finish_all(self, ended: Mapping[Lease, Mapping[str, object]], to_state: FileState) -> None:
        values = {lease.record_id: self._codec.values(dict(changes)) for lease, changes in ended.items()}
        names = {name for changes in values.values() for name in changes}
        own = {name: value_per_record({record_id: values[record_id][name] for record_id in values}) for name in names}
        written = self._pipeline({"state": to_state, "rate": None}, **own, lease_until=GONE)
        await self._write_all(_held_under(ended), [*written, {"$set": self._at_rest(to_state)}])

    async def release_all(self, leases: Sequence[Lease]) -> None:
        fewer = {name: {"$subtract": [f"${name}", 1]} for name in ("attempts", "fruitless_attempts")}
        times = {"next_attempt_at": NOW, "hint_at": NOW, "hinted_at": GONE, "lease_until": GONE}
        given_back = self._pipeline({"state": FileState.REGISTERED}, **fewer, **times)
        await self._write_all(_held_under(leases), given_back)


def _held_under(leases: Iterable[Lease]) -> Document:
    fences = {lease.record_id: lease.fence for lease in leases}
    held = {"$eq": ["$fence", value_per_record(fences)]}
    return {**ids_of(fences), "lease_until": {"$exists": True}, "$expr": held}
