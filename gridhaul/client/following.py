"""Files and deliveries, one at a time: what the api says of them, and how they are followed to their end."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

from gridhaul.client.connection import Connection
from gridhaul.client.file_events import FileEvents
from gridhaul.client.polling import LONGEST_SECONDS, LONGEST_WAITING_SECONDS, Pauses
from gridhaul.client.records import DeliveryRecord, FileRecord

FILE_OVER = frozenset({"FAILED", "CANCELLED", "EXPIRED", "DELETED"})
DELIVERY_OVER = frozenset({"DELIVERED", "FAILED", "CANCELLED"})
MOVING = frozenset({"STORING", "STREAMING", "COMMITTING"})  # a worker moves bytes in these states


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """A file and its delivery at one moment; the delivery exists once the file is stored.

    `seen_at` is that moment by the server's clock, or None if the server did not say it.
    """

    file: FileRecord
    delivery: DeliveryRecord | None
    seen_at: datetime | None

    @property
    def current(self) -> FileRecord | DeliveryRecord:
        """Return the record that changes now: the delivery once it exists, else the file."""
        return self.delivery or self.file

    @property
    def state(self) -> str:
        return self.current["state"]

    @property
    def over(self) -> bool:
        """Return whether the transfer has ended: nothing but a new request can change its record."""
        if self.delivery:
            return self.delivery["state"] in DELIVERY_OVER
        return self.file["state"] in FILE_OVER


class Following:
    """The requests that a client makes while it follows a file."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._events = FileEvents(connection)

    def file(self, file_id: str) -> FileRecord:
        return cast(FileRecord, self._connection.get(f"/files/{file_id}"))

    def deliveries(self, file_id: str) -> list[DeliveryRecord]:
        """Return the file's deliveries, oldest first."""
        return cast(list[DeliveryRecord], self._connection.get(f"/files/{file_id}/deliveries")["deliveries"])

    def delivery(self, delivery_id: str) -> DeliveryRecord:
        return cast(DeliveryRecord, self._connection.get(f"/deliveries/{delivery_id}"))

    def follow(self, file_id: str, target: str) -> Iterator[Transfer]:
        """Yield the file, and its delivery to `target` once that exists, until the transfer is over."""

        def look(seen: Transfer) -> Transfer:
            return self._look_at_delivery(seen) if seen.delivery else self._look(file_id, target)

        yield from self._follow(self._look(file_id, target), look, lambda seen: seen.over)

    def follow_storing(self, file: FileRecord) -> Iterator[Transfer]:
        """Yield the file from its record on, until it is STORED or will never be."""

        def look(seen: Transfer) -> Transfer:
            return self._transfer(self.file(seen.file["file_id"]), None)

        return self._follow(self._transfer(file, None), look, lambda seen: seen.state == "STORED" or seen.over)

    def follow_delivery(self, file: FileRecord, delivery: DeliveryRecord) -> Iterator[Transfer]:
        """Yield the file's delivery from its record on, until the delivery is over."""
        return self._follow(self._transfer(file, delivery), self._look_at_delivery, lambda seen: seen.over)

    def _follow(
        self,
        transfer: Transfer,
        look: Callable[[Transfer], Transfer],
        ended: Callable[[Transfer], bool],
    ) -> Iterator[Transfer]:
        """Yield the transfer again and again until it has ended.

        A short transfer is looked at, because a look in time shows its end earlier than an event. While bytes move for
        longer, the api tells of it in events. A transfer that waits is looked at: no event tells that workers are gone.
        """
        pauses = Pauses()
        yield transfer
        while not ended(transfer):
            pause = _pause(pauses, transfer)
            if pause >= LONGEST_SECONDS and transfer.state in MOVING:
                for told in self._told(transfer):
                    transfer = told
                    yield transfer
                    if transfer.state not in MOVING:
                        break
                pause = _pause(pauses, transfer)
            if not ended(transfer):
                time.sleep(pause)
                transfer = look(transfer)
                yield transfer

    def _told(self, transfer: Transfer) -> Iterator[Transfer]:
        """Yield the transfer as the events of a stream tell of it, until the stream ends."""
        began = time.monotonic()
        delivery_id = transfer.delivery and transfer.delivery["delivery_id"]
        for kind, record in self._events.of(transfer.file["file_id"]):
            if kind == "file":
                transfer = replace(transfer, file=cast(FileRecord, record))
            elif record["delivery_id"] == delivery_id:
                transfer = replace(transfer, delivery=cast(DeliveryRecord, record))
            else:
                continue
            opened_at = self._connection.answered_at
            seconds = timedelta(seconds=time.monotonic() - began)
            yield replace(transfer, seen_at=opened_at and opened_at + seconds)

    def _look_at_delivery(self, transfer: Transfer) -> Transfer:
        assert transfer.delivery is not None, "the transfer has a delivery"  # noqa: S101
        return self._transfer(transfer.file, self.delivery(transfer.delivery["delivery_id"]))

    def _look(self, file_id: str, target: str) -> Transfer:
        """Return the file and its delivery to the target, which exists only once the file is stored."""
        file = self.file(file_id)
        deliveries = self.deliveries(file_id) if file["state"] == "STORED" else []
        return self._transfer(file, next((one for one in deliveries if one["target"] == target), None))

    def _transfer(self, file: FileRecord, delivery: DeliveryRecord | None) -> Transfer:
        return Transfer(file=file, delivery=delivery, seen_at=self._connection.answered_at)


def _pause(pauses: Pauses, transfer: Transfer) -> float:
    waits = transfer.current["next_attempt_at"] is not None
    return pauses.after(transfer.state, longest_seconds=LONGEST_WAITING_SECONDS if waits else LONGEST_SECONDS)
