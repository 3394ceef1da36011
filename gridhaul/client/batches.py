"""Batches: files that are sent together, followed together, and answered for together."""

import time
import uuid
from collections.abc import Collection, Iterator
from typing import IO, Any, cast

from gridhaul.client.batch_records import BATCH_OVER, BatchOrder, BatchRecord, BatchTarget, ListRecord, SkippedRecord
from gridhaul.client.connection import Connection
from gridhaul.client.polling import Pauses
from gridhaul.client.records import DeliveryRecord, FileRecord
from gridhaul.transfer.lists import ListFormat
from gridhaul.transfer.states import Action


class Batches:
    """Requests to `/batches`, and to the lists of their files and deliveries.

    An iterator of records asks for the next page when it needs one, so no list is held whole.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def start(self, order: BatchOrder) -> BatchRecord:
        """Make a batch. A request whose answer was lost is repeated, and makes no second batch."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return cast(BatchRecord, self._connection.post("/batches", _body(order), headers=headers))

    def start_planned(self, batch_id: str) -> BatchRecord:
        """Start a batch that is PLANNED. A repeated request has the same answer."""
        return cast(BatchRecord, self._connection.post(f"/batches/{batch_id}/start"))

    def make_list(self, text: IO[bytes], list_format: ListFormat) -> ListRecord:
        """Send a list of paths, or a manifest, for a batch. The text must allow `seek`: a retry sends it again.

        A request whose answer was lost is repeated; what it has made goes away by itself.
        """
        return cast(ListRecord, self._connection.send_text("/lists", text, format=list_format.value))

    def delete_list(self, list_id: str) -> None:
        """Delete a list that no batch uses. A repeated request is refused, because the list is gone."""
        self._connection.delete(f"/lists/{list_id}")

    def get(self, batch_id: str) -> BatchRecord:
        return cast(BatchRecord, self._connection.get(f"/batches/{batch_id}"))

    def newest(self, *, states: Collection[str], limit: int) -> list[BatchRecord]:
        """Return the newest batches in one of the states, up to `limit`; no states mean every state."""
        return cast(list[BatchRecord], self._connection.listed("batches", limit=limit, state=sorted(states)))

    def operate(self, batch_id: str, action: Action) -> BatchRecord:
        """Cancel, pause, resume or retry the batch. A repeated request has the same answer."""
        return cast(BatchRecord, self._connection.post(f"/batches/{batch_id}/{action}"))

    def delete(self, batch_id: str) -> BatchRecord:
        """Delete the files of a batch that is over. A repeated request has the same answer."""
        return cast(BatchRecord, self._connection.delete(f"/batches/{batch_id}"))

    def cancel_and_delete(self, batch_id: str) -> BatchRecord:
        """Cancel the batch and delete its files. A repeated request has the same answer."""
        return cast(BatchRecord, self._connection.delete(f"/batches/{batch_id}", cancel="true"))

    def follow(self, batch_id: str) -> Iterator[BatchRecord]:
        """Yield the batch until it is over. The pauses between two looks are those of `polling.Pauses`."""
        pauses = Pauses()
        # No event tells of the counts, which are made when somebody asks for the batch: they change with every member.
        while True:
            batch = self.get(batch_id)
            yield batch
            if batch["state"] in BATCH_OVER:
                return
            time.sleep(pauses.after(batch["state"]))

    def files(self, batch_id: str, *, states: Collection[str], limit: int | None = None) -> Iterator[FileRecord]:
        """Yield files of the batch in one of the states, newest first; at most `limit`, if that is given."""
        return self._connection.each("/files", "files", limit=limit, batch=batch_id, state=sorted(states))

    def files_by_name(self, batch_id: str) -> Iterator[FileRecord]:
        """Yield all files of the batch, in the byte order of their names."""
        return self._connection.each("/files", "files", batch=batch_id, order="name")

    def deliveries(
        self, batch_id: str, *, states: Collection[str], limit: int | None = None
    ) -> Iterator[DeliveryRecord]:
        """Yield deliveries of the batch in one of the states, or in every state for none; at most `limit`."""
        return self._connection.each("/deliveries", "deliveries", limit=limit, batch=batch_id, state=sorted(states))

    def skipped(self, batch_id: str, *, limit: int | None = None) -> Iterator[SkippedRecord]:
        """Yield the paths that were not registered, at most `limit`."""
        return self._connection.each(f"/batches/{batch_id}/skipped", "skipped", limit=limit)

    def write_sha256sums(self, batch_id: str, into: IO[bytes]) -> None:
        """Write the text that `sha256sum --check` accepts. `into` is written once the whole text has arrived."""
        self._connection.download(f"/batches/{batch_id}/sha256sums", into)


def _body(order: BatchOrder) -> dict[str, Any]:
    """Return the request's body, without the members that the order leaves to the api."""
    body = {
        "paths": order.paths or None,
        "list_id": order.list_id,
        "deliver_to": [_wanted(target) for target in order.targets],
        "if_changed": order.if_changed.value,
        "base": order.base,
        "include": order.include or None,
        "exclude": order.exclude or None,
        "hidden": order.hidden,
        "links": order.links,
        "update": order.update or None,
        "dry_run": order.dry_run or None,
    }
    return {name: value for name, value in body.items() if value is not None}


def _wanted(target: BatchTarget) -> dict[str, str]:
    wanted = {"target": target.target, "if_exists": target.if_exists.value}
    return wanted if target.prefix is None else wanted | {"prefix": target.prefix}
