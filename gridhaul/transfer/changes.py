"""Changes of records, as clients are told of them: their order, and which of them a reader has passed on. Pure.

Changes are ordered by `changed_at`, the database server's time of the write, and then by the record's id. They do not
become visible in this order: the time of a write is fixed before the write is carried out, and an election may give the
lead to a server whose clock is behind. So whoever reads on from a time begins OVERLAP earlier, and may meet a change
twice, but never misses one.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self

from gridhaul.transfer.batches import Batch
from gridhaul.transfer.errors import InvalidValue
from gridhaul.transfer.model import Delivery, File, RecordId

OVERLAP = timedelta(seconds=10)  # how long after `changed_at` a change may become visible
POSITION = "^[0-9]{1,13}-[0-9a-f]{24}$"
LEAST_ID = RecordId("0" * 24)

Record = File | Delivery | Batch


class Kind(StrEnum):
    FILE = "file"
    DELIVERY = "delivery"
    BATCH = "batch"

    @classmethod
    def of(cls, record: Record) -> Self:
        if isinstance(record, File):
            return cls("file")
        return cls("delivery" if isinstance(record, Delivery) else "batch")


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """A place in the order of changes. As text it is the id of an event, which a client sends as `Last-Event-ID`."""

    time_ms: int  # since 1970
    record_id: RecordId

    @classmethod
    def of(cls, time: datetime, record_id: RecordId = LEAST_ID) -> Self:
        return cls(round(time.timestamp() * 1e6) // 1000, record_id)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the position that the text names. Raises InvalidValue."""
        if not re.fullmatch(POSITION, text):
            raise InvalidValue("This is not the id of an event; leave it out to be told of changes from now on.")
        time_ms, _, record_id = text.partition("-")
        return cls(int(time_ms), RecordId(record_id))

    def __str__(self) -> str:
        return f"{self.time_ms}-{self.record_id}"

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=self.time_ms)


def replay_start(last: Position | None, now: datetime) -> Position:
    """Return the position after which a client is told of changes that knows those up to `last`; None: up to now.

    A position that lies in the future comes from a server whose clock was ahead of the present one.
    """
    return Position.of((now if last is None else min(last.time, now)) - OVERLAP)


def look_start(last_look: datetime, now: datetime, *, since: timedelta) -> datetime:
    """Return the time from which a reader reads that looked last at `last_look`, `since` ago by its own clock.

    Both times are the database server's. They may be those of two servers, of which the present one has a clock that is
    behind: then `last_look` lies in its future, and only the time that passed here tells when the last look was.
    """
    return min(last_look, now - since) - OVERLAP


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """The last change of a record."""

    kind: Kind
    record_id: RecordId
    revision: int
    changed_at: datetime

    @classmethod
    def of(cls, record: Record) -> Self | None:
        """Return the record's last change; None: it has not changed since records note when they change."""
        if record.changed_at is None:
            return None
        return cls(kind=Kind.of(record), record_id=record.id, revision=record.revision, changed_at=record.changed_at)

    @property
    def position(self) -> Position:
        return Position.of(self.changed_at, self.record_id)


def event_position(record: Record, horizon: datetime) -> Position | None:
    """Return the position of the event that tells of the record as it was read after `horizon`.

    A client that goes on from a position is told of everything from OVERLAP before it. All changes until OVERLAP before
    the horizon were visible to whoever read the record; of later ones nothing is known, so no position is later.
    """
    return None if record.changed_at is None else Position.of(min(record.changed_at, horizon), record.id)


class Seen:
    """The changes that a reader has passed on, by record and revision, as long as it may meet them again."""

    def __init__(self) -> None:
        self._seen: dict[tuple[RecordId, int], datetime] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def unseen(self, changes: Iterable[Change]) -> list[Change]:
        return [change for change in changes if (change.record_id, change.revision) not in self._seen]

    def add(self, changes: Collection[Change], *, from_time: datetime) -> None:
        """Remember the changes. Those before `from_time` are left out, because no later look reads them."""
        recent = (change for change in changes if change.changed_at >= from_time)
        self._seen |= {(change.record_id, change.revision): change.changed_at for change in recent}

    def forget_before(self, time: datetime) -> None:
        self._seen = {key: changed_at for key, changed_at in self._seen.items() if changed_at >= time}
