"""A memory twin of the changes of files, deliveries and batches, over the rows of the other twins."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from gridhaul.transfer.batches import Batch
from gridhaul.transfer.changes import Change, Kind, Position, Record
from gridhaul.transfer.model import Delivery, File, RecordId
from gridhaul.transfer.ports.events import Page, Progress, RecentChanges, Replays
from gridhaul.transfer.states import DeliveryState, FileState
from tests.contracts.memory_registry import Row, wall_clock

STORED = frozenset({FileState.RECEIVING, FileState.STORING})
MADE = frozenset({DeliveryState.STREAMING, DeliveryState.COMMITTING})


class MemoryChanges:
    """A twin of `transfer.ports.events.RecentChanges` and `Replays`."""

    def __init__(
        self,
        files: Mapping[RecordId, Row[File]],
        deliveries: Mapping[RecordId, Row[Delivery]],
        batches: Mapping[RecordId, Row[Batch]],
    ) -> None:
        self._files = files
        self._deliveries = deliveries
        self._batches = batches

    async def horizon(self) -> datetime:
        return wall_clock()

    async def begin(self) -> datetime:
        return wall_clock()

    async def since(self, after: Position, *, owners: Collection[str] | None, limit: int) -> Sequence[Change]:
        return [change for _, change in self._after(after, owners)][:limit]

    async def read(self, ids: Mapping[Kind, Collection[RecordId]]) -> Sequence[Record]:
        wanted = {(kind, record_id) for kind, some in ids.items() for record_id in some}
        return [replace(one, history=()) for one in self._records() if (Kind.of(one), one.id) in wanted]

    async def page(self, after: Position, *, owner: str | None, limit: int) -> Page:
        found = self._after(after, None if owner is None else {owner})[:limit]
        next_after = found[-1][1].position if len(found) == limit else None
        return Page(records=[replace(record, history=()) for record, _ in found], next_after=next_after)

    async def progress(self, *, owners: Collection[str] | None, limit: int) -> Sequence[Progress]:
        theirs = [one for one in self._records() if owners is None or one.owner in owners]
        files = [one for one in theirs if isinstance(one, File) and one.state in STORED]
        deliveries = [one for one in theirs if isinstance(one, Delivery) and one.state in MADE]
        return [
            *(_progress(Kind.FILE, one, one.stored_bytes) for one in files[-limit:]),
            *(_progress(Kind.DELIVERY, one, one.sent_bytes) for one in deliveries[-limit:]),
        ]

    def _records(self) -> Iterator[Record]:
        for rows in (self._files, self._deliveries, self._batches):
            for row in rows.values():
                yield row.record

    def _after(self, after: Position, owners: Collection[str] | None) -> list[tuple[Record, Change]]:
        """Return the records that changed after the position, with their changes, in the order of positions."""
        theirs = [one for one in self._records() if owners is None or one.owner in owners]
        changed = [(one, change) for one in theirs if (change := Change.of(one)) and change.position > after]
        return sorted(changed, key=lambda found: found[1].position)


def _progress(kind: Kind, record: File | Delivery, moved_bytes: int) -> Progress:
    return Progress(kind=kind, record_id=record.id, moved_bytes=moved_bytes + record.checked_bytes)


def _check(changes: MemoryChanges) -> None:
    """Let the type checker see that the twin has the methods of its ports."""
    _: tuple[RecentChanges, Replays] = (changes, changes)
