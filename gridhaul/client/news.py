"""Events of what changes on the server, told event by event for as long as somebody listens."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gridhaul.client.connection import Connection

SILENCE_SECONDS = 45.0  # the api says something every 15 s at least
REMEMBERED_RECORDS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """An event: `kind` is that of the record, `file`, `delivery` or `batch`."""

    kind: str
    is_progress: bool  # bytes have moved, and nothing else has changed
    record: dict[str, Any]


def news(connection: Connection, file_id: str | None) -> Iterator[News]:
    """Yield what changes of a file and its deliveries, or of all that the account sees, without end.

    An event that comes twice, because the stream was opened again, is passed over. Raises ClientError.
    """
    path = "/events" if file_id is None else f"/files/{file_id}/events"
    last_told = dict[str, str]()  # by the record's path
    for event in connection.endless_events(path, silence_seconds=SILENCE_SECONDS):
        if not event.data:  # the beginning of the stream
            continue
        record: Any = event.json()
        of = record["links"]["self"]
        if last_told.pop(of, None) != event.data:
            is_progress = event.event == "progress"
            kind = record.pop("kind") if is_progress else event.event
            yield News(kind=kind, is_progress=is_progress, record=record)
        last_told[of] = event.data
        if len(last_told) > REMEMBERED_RECORDS:
            del last_told[next(iter(last_told))]
