"""The one reader of a process that reads what changed, for all listeners together, while there are any."""

import asyncio
import time
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context
from datetime import datetime, timedelta

import structlog

from api.events import texts
from api.events.log import EventLog, Listener, Sight
from api.obstacles import Obstacles
from api.repeating import repeat
from gridhaul.transfer.changes import OVERLAP, Change, Kind, Position, Record, Seen, event_position, look_start
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.ports.events import RecentChanges

LOOK_SECONDS = 0.5
LOOKS_FOR_PROGRESS = 2  # every second look, so progress is told at most once a second
CHANGES_AT_ONCE = 1000
RECORDS_AT_ONCE = 100
PROGRESS_AT_MOST = 200  # records of a kind whose progress is told
OWNERS_AT_MOST = 100  # a query for more accounts costs more than one for all of them
TEXTS_IN_A_ROW = 10  # made before other tasks get a turn; each takes some 50 µs

log = structlog.get_logger(__name__)


class EventFeed:
    """Gives listeners the changes of the records that they may see. An instance belongs to one event loop."""

    def __init__(self, changes: RecentChanges, obstacles: Obstacles, *, log: EventLog | None = None) -> None:
        self._changes = changes
        self._obstacles = obstacles
        self._log = log or EventLog()
        self._reading: asyncio.Task[None] | None = None

    @contextmanager
    def listening(self, sight: Sight) -> Generator[Listener]:
        """Yield a listener, which gets what changes inside the context, and perhaps what changed a little earlier."""
        with self._log.listening(sight) as listener:
            if self._reading is None:
                self._reading = self._started()
            try:
                yield listener
            finally:
                if len(self._log) == 1:
                    self._stop()

    def __len__(self) -> int:
        """Return the number of listeners."""
        return len(self._log)

    def _started(self) -> asyncio.Task[None]:
        reader = Reader(self._changes, self._obstacles, self._log)
        reading = repeat(reader.look, every_seconds=LOOK_SECONDS, log=log, name="events")
        return asyncio.create_task(reading, context=Context())  # not that of the request which happened to be the first

    def _stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._reading = None


class Reader:
    """Looks for changes, and at progress, one look after the other.

    If both looked at the same time, a slow look at the progress could tell of a record as it was before its end, when
    the end was told already.
    """

    def __init__(self, changes: RecentChanges, obstacles: Obstacles, log: EventLog) -> None:
        self._looks = Looks(changes, obstacles, log)
        self._progress = ProgressLooks(changes, obstacles, log)
        self._done = 0

    async def look(self) -> None:
        await self._looks.look()
        self._done += 1
        if self._done % LOOKS_FOR_PROGRESS == 0:
            await self._progress.look()


class Looks:
    """Looks for changes, one after the other. Each begins before the end of the last, and passes over what was seen."""

    def __init__(self, changes: RecentChanges, obstacles: Obstacles, log: EventLog) -> None:
        self._changes = changes
        self._obstacles = obstacles
        self._log = log
        self._seen = Seen()
        self._last_horizon: datetime | None = None  # None: no look has succeeded yet
        self._last_read_at = time.monotonic()  # when the last horizon was read, else when the first look was due

    async def look(self) -> None:
        """Tell of what changed since the last look. If it raises, the next look reads the same again."""
        read_at = time.monotonic()
        horizon = await self._changes.horizon()
        since = timedelta(seconds=read_at - self._last_read_at)
        start = look_start(self._last_horizon or horizon, horizon, since=since)
        self._seen.forget_before(start)
        after = Position.of(start)
        while changes := await self._changes.since(after, owners=_few(self._log.owners), limit=CHANGES_AT_ONCE):
            await self._tell(self._seen.unseen(changes), horizon)
            after = changes[-1].position
            if len(changes) < CHANGES_AT_ONCE:
                break
        self._last_horizon, self._last_read_at = horizon, read_at

    async def _tell(self, changes: Sequence[Change], horizon: datetime) -> None:
        for first in range(0, len(changes), RECORDS_AT_ONCE):
            some = changes[first : first + RECORDS_AT_ONCE]
            records = await self._changes.read(_ids((one.kind, one.record_id) for one in some))
            # A client that leaves after a record which has just changed again must be told of the later ones of `some`.
            until = min(some[-1].changed_at, horizon)
            for n, record in enumerate(in_order(records, until), start=1):
                self._log.add(texts.event(record, self._obstacles, horizon=until))
                if n % TEXTS_IN_A_ROW == 0:
                    await asyncio.sleep(0)
            # A record may have changed again before it was read: then the event has told of that change, too.
            as_read = [change for record in records if (change := Change.of(record))]
            self._seen.add([*some, *as_read], from_time=horizon - OVERLAP)


class ProgressLooks:
    """Looks how far the records are that are worked on, and tells of those that have come further."""

    def __init__(self, changes: RecentChanges, obstacles: Obstacles, log: EventLog) -> None:
        self._changes = changes
        self._obstacles = obstacles
        self._log = log
        self._last: Mapping[tuple[Kind, RecordId], int] = {}

    async def look(self) -> None:
        found = await self._changes.progress(owners=_few(self._log.owners), limit=PROGRESS_AT_MOST)
        now = {(one.kind, one.record_id): one.moved_bytes for one in found}
        moved = [key for key, moved_bytes in now.items() if moved_bytes != self._last.get(key, moved_bytes)]
        for record in await self._changes.read(_ids(moved)) if moved else ():
            self._log.add(texts.progress(record, self._obstacles))
        self._last = now


def in_order(records: Collection[Record], horizon: datetime) -> list[Record]:
    """Return the records in the order of the positions of their events."""
    return sorted(records, key=lambda one: event_position(one, horizon) or Position.of(horizon, one.id))


def _few(owners: Collection[str] | None) -> Collection[str] | None:
    """Return the accounts if they are few, else None, which stands for every account."""
    return owners if owners is not None and len(owners) <= OWNERS_AT_MOST else None


def _ids(keys: Iterable[tuple[Kind, RecordId]]) -> Mapping[Kind, Collection[RecordId]]:
    ids: dict[Kind, set[RecordId]] = {}
    for kind, record_id in keys:
        ids.setdefault(kind, set()).add(record_id)
    return ids
