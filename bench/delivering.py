"""A process like a worker's child that makes deliveries together: `python -m bench.delivering FOLDER < ids`.

It reads ids of stored files from the first line of stdin, makes a delivery into the folder for each of them, as a batch
does, and prints a line. At the next line it makes the deliveries, and prints a line when they are made.
"""

import json
import sys
from collections.abc import Sequence

from bench.remotes import WEBDAV
from gridhaul.storage.codec import new_id
from gridhaul.transfer.model import Destination, File, IfExists, NewDelivery, Queue, RecordId
from tasks.deliver_together import deliver_together
from tasks.runtime import Runtime, worker
from tasks.take_due import MEMBERS_A_LOOK


async def _make(runtime: Runtime, asked: tuple[str, Sequence[RecordId], list[RecordId]]) -> None:
    """Make the deliveries. A batch that does not exist owes the hints, so that no other worker is woken."""
    folder, file_ids, made = asked
    batch_id = new_id()
    new = [_delivery(file, folder, batch_id) for file in await runtime.files.get_all(file_ids)]
    made += await runtime.deliveries.make_all(new)


def _delivery(file: File, folder: str, batch_id: RecordId) -> NewDelivery:
    to = Destination(target=WEBDAV, object_name=f"{folder}/{file.name}", if_exists=IfExists.FAIL)
    return NewDelivery(
        file_id=file.id,
        owner=file.owner,
        destination=to,
        length=file.length,
        sha256=file.sha256 or "",
        queue=Queue.SMALL,
        batch_id=batch_id,
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    worker.prepare(frozenset({Queue.SMALL}))
    made: list[RecordId] = []
    worker.run(_make, (sys.argv[1], json.loads(sys.stdin.readline()), made))
    _say("made")
    sys.stdin.readline()
    for first in range(0, len(made), MEMBERS_A_LOOK):
        worker.run(deliver_together, made[first : first + MEMBERS_A_LOOK])
    _say("delivered")
    worker.close()


if __name__ == "__main__":
    main()
