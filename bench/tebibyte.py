"""Delivers the first MiB of a file of 1 TiB to a target, and prints the highest memory of its process in MiB.

`python -m bench.tebibyte TARGET MIB` is composed as a worker is, with a worker's settings in its environment, and does
the journey of every delivery. Only the content's bytes are made instead of read from the database. No other worker may
run on the same database.
"""

import sys
from dataclasses import replace

import psutil

from bench.errors import TransferFailed
from bench.made_content import SHA256, TIB, MadeContents
from bench.memory import peak_mib
from bench.scale import MIB
from gridhaul.storage.connect import Database, connect
from gridhaul.storage.deliveries import MongoDeliveries
from gridhaul.storage.files import MongoFiles
from gridhaul.targets.s3.part_sizes import part_bytes_of
from gridhaul.transfer.model import Destination, IfExists, NewDelivery, NewFile, Queue, RecordId
from gridhaul.transfer.origins import Door, Upload
from gridhaul.transfer.states import STORABLE, FileState
from tasks.finalize_file import deliver_file
from tasks.runtime import Runtime, Worker

OWNER = "operator"
NAME = "tebibyte"


def main(target: str, mib: int) -> None:
    worker = Worker()
    worker.prepare(frozenset())
    worker.run(_deliver_beginning, (target, mib * MIB))
    print(peak_mib(psutil.Process()))  # noqa: T201 - the parent reads it
    worker.close()


async def _deliver_beginning(runtime: Runtime, about: tuple[str, int]) -> None:
    """Deliver until the target has so many bytes, and stop as a worker does that is asked to. Raises TransferFailed."""
    target, length = about
    settings = runtime.settings
    database = connect(settings.mongo_url.get_secret_value(), settings.database)
    contents = MadeContents(database)
    delivery_id = await _queued(database, target, contents.new_id(), settings.lease_seconds)
    enough = length + 3 * part_bytes_of(TIB)  # what was read may be two parts and some chunks ahead of what was sent
    attempts = replace(runtime.delivery_attempts, stopping=lambda: contents.furthest >= enough)
    await deliver_file(replace(runtime, contents=contents, delivery_attempts=attempts), delivery_id)
    delivery = await runtime.deliveries.get(delivery_id)
    await database.client.close()
    if delivery is None or delivery.sent_bytes < length:
        raise TransferFailed(f"The delivery ended before the target had {length} bytes: {delivery and delivery.error}")


async def _queued(database: Database, target: str, content_id: RecordId, lease_seconds: float) -> RecordId:
    """Make the records of a stored file and of its delivery, and return the delivery's id."""
    files = MongoFiles(database, lease_seconds=lease_seconds)
    new = NewFile(
        owner=OWNER,
        name=NAME,
        content_type="application/octet-stream",
        length=TIB,
        origin=Upload(door=Door.PUT),
        queue=Queue.LARGE,
    )
    file, _ = await files.register(new)
    taken = await files.claim(file.id, holder=NAME, from_states=STORABLE, to_state=FileState.STORING)
    if taken is None:
        raise TransferFailed("Another worker runs on the database.")
    await files.finish(taken.lease, FileState.STORED, content_id=content_id, sha256=SHA256)
    delivery = NewDelivery(
        file_id=file.id,
        owner=OWNER,
        destination=Destination(target=target, object_name=file.id, if_exists=IfExists.FAIL),
        length=TIB,
        sha256=SHA256,
        queue=Queue.LARGE,
    )
    return (await MongoDeliveries(database, lease_seconds=lease_seconds).open(delivery))[0].id


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
