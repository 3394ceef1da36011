"""The deletion of a batch's files in MongoDB, many at a time."""

from collections.abc import Sequence

from bson import ObjectId

from gridhaul.storage.batches.members import STATES_OF_BATCH
from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.files import MongoFiles
from gridhaul.storage.history import WITHOUT_HISTORY
from gridhaul.transfer.batches import OPEN_DELIVERIES
from gridhaul.transfer.model import File, RecordId
from gridhaul.transfer.ports.batches import DeletableFiles
from gridhaul.transfer.states import DELETABLE, FileState


@maps_database_errors
class MongoMemberDeletion:
    """The port `transfer.ports.batches.MemberDeletion` on MongoDB."""

    def __init__(self, database: Database, files: MongoFiles) -> None:
        self._files_port = files
        self._files = database["files"]
        self._deliveries = database["deliveries"]
        self._codec = Codec(File)

    async def begin_delete(self, batch_id: RecordId, *, limit: int) -> DeletableFiles:
        found = await self._in_states(batch_id, {"$in": sorted({*DELETABLE, FileState.DELETING})}, limit)
        over = [file for file in found if file.state is not FileState.DELETING]
        # The counts of deliveries were read before the deliveries, as `request_delete` wants it.
        busy = await self._with_open_deliveries(over)
        chosen = {file.id: file.deliveries_asked for file in over if file.id not in busy}
        if chosen:
            await self._files_port.begin_delete(chosen)
        deleting = await self._in_states(batch_id, FileState.DELETING.value, limit)
        return DeletableFiles(files=deleting, busy=len(busy))

    async def end_delete(self, files: Sequence[File]) -> bool:
        return await self._files_port.end_delete([file.id for file in files]) == len(files)

    async def deleted(self, batch_id: RecordId, *, after: RecordId | None, limit: int) -> Sequence[File]:
        wanted: Document = {"batch_id": ObjectId(batch_id), "state": FileState.DELETED.value}
        if after is not None:
            wanted["_id"] = {"$lt": ObjectId(after)}
        return await self._read(wanted, limit)

    async def _with_open_deliveries(self, files: Sequence[File]) -> set[RecordId]:
        """Return those of the files that have an open delivery, whoever asked for it."""
        wanted = {"file_id": {"$in": [ObjectId(file.id) for file in files]}, "state": {"$in": OPEN_DELIVERIES}}
        cursor = self._deliveries.find(wanted, {"_id": 0, "file_id": 1})
        return {RecordId(str(one["file_id"])) async for one in cursor}

    async def _in_states(self, batch_id: RecordId, states: object, limit: int) -> Sequence[File]:
        return await self._read({"batch_id": ObjectId(batch_id), "state": states}, limit)

    async def _read(self, wanted: Document, limit: int) -> Sequence[File]:
        cursor = self._files.find(wanted, WITHOUT_HISTORY).sort("_id", -1).hint(STATES_OF_BATCH).limit(limit)
        return [self._codec.decode(document) async for document in cursor]
