"""A batch whose files are stored and whose deliveries wait, so that the deliveries can be timed alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.installation import Installation
from bench.remotes import WEBDAV
from gridhaul.storage.connect import connect
from gridhaul.storage.deliveries import MongoDeliveries
from gridhaul.storage.files import MongoFiles
from gridhaul.transfer.model import Destination, File, IfExists, NewDelivery, RecordId

LEASE_SECONDS = 30.0  # of records that are only made and read here


@dataclass(frozen=True, kw_only=True)
class DeliverableBatch:
    """Every wait raises TransferFailed if a file or a delivery fails."""

    installation: Installation
    batch_id: str
    file_ids: Sequence[str]

    @classmethod
    def stored(cls, installation: Installation, paths: Sequence[Path], *, folder: str) -> Self:
        """Send the paths, which are all in one directory, and wait until they are STORED.

        Then make their deliveries into the folder, as a worker makes those of a batch that names a target. No lane owes
        a hint once the batch is DONE, so no worker looks for them before `deliver` wakes the lanes.
        """
        file_ids = installation.crowd.store_as_batch(paths)
        batch_id = installation.records.batch_of(file_ids[0])
        installation.records.wait_for_done_batch(batch_id)
        asyncio.run(_make_deliveries(installation, [RecordId(file_id) for file_id in file_ids], folder))
        return cls(installation=installation, batch_id=batch_id, file_ids=file_ids)

    def deliver(self) -> None:
        """Let the batch go on, and wait until all of it is DELIVERED."""
        self.installation.operator.post(f"/batches/{self.batch_id}/retry", {})
        self.installation.records.wait_for_delivered_batch(self.batch_id, len(self.file_ids))

    def delete(self) -> None:
        """Delete the stored files."""
        self.installation.crowd.delete(self.file_ids)


async def _make_deliveries(installation: Installation, file_ids: Sequence[RecordId], folder: str) -> None:
    database = connect(installation.system.mongo_url, installation.database)
    files = MongoFiles(database, lease_seconds=LEASE_SECONDS)
    deliveries = MongoDeliveries(database, lease_seconds=LEASE_SECONDS)
    await deliveries.make_all([_delivery(file, folder) for file in await files.get_all(file_ids)])
    await database.client.close()


def _delivery(file: File, folder: str) -> NewDelivery:
    to = Destination(target=WEBDAV, object_name=f"{folder}/{file.name}", if_exists=IfExists.FAIL)
    return NewDelivery(
        file_id=file.id,
        owner=file.owner,
        destination=to,
        length=file.length,
        sha256=file.sha256 or "",
        queue=file.queue,
        batch_id=file.batch_id,
    )
