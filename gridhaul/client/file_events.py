"""The stream in which the api tells what happens to one file and its deliveries, as long as there is one."""

from collections.abc import Iterator
from typing import Any

from gridhaul.client.connection import Connection
from gridhaul.client.errors import ApiError, ApiUnreachable

SILENCE_SECONDS = 5.0  # while bytes move, an event comes about once a second
SILENT_STREAMS = 2  # in a row; then something on the way, such as a proxy, keeps the events back
KINDS = ("file", "delivery")


class FileEvents:
    """The events of files. An api or a proxy from which none are to be had is not asked for them again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tries_left = SILENT_STREAMS

    def of(self, file_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the kind, `file` or `delivery`, and the record of each event, until the stream ends for any reason.

        A caller then looks at the records itself: so the errors of a stream are not raised, and a stream that begins
        later need not know where this one ended.
        """
        if not self._tries_left:
            return
        self._tries_left -= 1
        try:
            for event in self._connection.events(f"/files/{file_id}/events", silence_seconds=SILENCE_SECONDS):
                if not event.data:  # the beginning of the stream
                    continue
                record: Any = event.json()
                kind = record.get("kind") if event.event == "progress" else event.event
                if kind in KINDS:
                    self._tries_left = SILENT_STREAMS
                    yield kind, record
        except ApiUnreachable:
            return
        except (ApiError, ValueError):  # an older api has no events, and a busy one refuses a further stream
            self._tries_left = 0
