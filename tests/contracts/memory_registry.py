"""The registries and the agenda over plain dicts, with the same leases, on this process's clock."""

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Generic, TypeVar

from gridhaul.transfer.errors import LeaseLost, OptionsConflict
from gridhaul.transfer.model import (
    Content,
    Delivery,
    File,
    Hint,
    Lease,
    NewDelivery,
    NewFile,
    Queue,
    RecordId,
    TaskName,
)
from gridhaul.transfer.ports import Agenda, DeliveryRegistry, FileRegistry
from gridhaul.transfer.states import (
    DELETABLE,
    REOPENABLE,
    DeliveryState,
    FileState,
)

R = TypeVar("R", File, Delivery, Content)
Leasable = TypeVar("Leasable", File, Delivery)
S = TypeVar("S")
_numbers = itertools.count(1)


def new_id() -> RecordId:
    """Ids grow."""
    return RecordId(f"{next(_numbers):024x}")


@dataclass(kw_only=True, slots=True)
class Row(Generic[R]):
    """A record and what only the database knows of it; times are those of `time.monotonic`."""

    record: R
    next_attempt_at: float | None = None  # None: no worker has anything to do
    hint_at: float | None = None  # from when on a hint is owed
    hinted_at: float | None = None  # when one was given that nobody has acted on
    lease_until: float | None = None
    claimed: tuple[str, str] | None = None

    @property
    def due_and_free(self) -> bool:
        return max(self.next_attempt_at or 0.0, self.lease_until or 0.0) <= time.monotonic()


def _waiting(record: Leasable) -> Row[Leasable]:
    """Claimable now; whoever makes a record hints it."""
    now = time.monotonic()
    return Row(record=record, next_attempt_at=now, hinted_at=now)


class MemoryRecords(Generic[Leasable, S]):
    """`transfer.ports.LeasedRecords`. No method awaits anything, so each is atomic."""

    def __init__(self, *, lease_seconds: float) -> None:
        self.rows: dict[RecordId, Row[Leasable]] = {}
        self._lease_seconds = lease_seconds

    async def get(self, record_id: RecordId) -> Leasable | None:
        row = self.rows.get(record_id)
        return row.record if row else None

    async def claim(
        self, record_id: RecordId, *, holder: str, from_states: frozenset[S], to_state: S
    ) -> Leasable | None:
        row = self.rows.get(record_id)
        if row is None or row.record.state not in from_states or not row.due_and_free:
            return None
        counted = {name: getattr(row.record, name) + 1 for name in ("fence", "attempts", "fruitless_attempts")}
        self._change(row, {"state": to_state, "error": None, "rate": None, **counted})
        self._hold(row)
        return row.record

    async def renew(self, lease: Lease, **changes: object) -> None:
        row = self._leased(lease)
        self._change(row, changes)
        self._hold(row)

    async def release(self, lease: Lease, to_state: S, *, delay_seconds: float, **changes: object) -> None:
        row = self._leased(lease)
        self._change(row, {"state": to_state, "rate": None, **changes})
        row.lease_until = row.hinted_at = None
        row.next_attempt_at = row.hint_at = time.monotonic() + delay_seconds

    async def finish(self, lease: Lease, to_state: S, **changes: object) -> None:
        row = self._leased(lease)
        self._change(row, {"state": to_state, "rate": None, **changes})
        row.lease_until = row.next_attempt_at = row.hint_at = row.hinted_at = row.claimed = None

    def _leased(self, lease: Lease) -> Row[Leasable]:
        row = self.rows.get(lease.record_id)
        if row is None or row.lease_until is None or row.record.fence != lease.fence:
            raise LeaseLost(f"record {lease.record_id}, fence {lease.fence}")
        return row

    def _hold(self, row: Row[Leasable]) -> None:
        row.lease_until = row.hint_at = time.monotonic() + self._lease_seconds
        row.hinted_at = None

    def _change(self, row: Row[Leasable], changes: Mapping[str, Any]) -> None:
        row.record = replace(row.record, updated_at=datetime.now(UTC), **changes)


class MemoryFiles(MemoryRecords[File, FileState]):
    """`transfer.ports.FileRegistry`."""

    def __init__(self, *, lease_seconds: float) -> None:
        super().__init__(lease_seconds=lease_seconds)
        self._by_key: dict[tuple[str, str], RecordId] = {}

    async def register(self, new: NewFile) -> tuple[File, bool]:
        if new.idempotency_key is not None:
            key = (new.owner, new.idempotency_key)
            if key in self._by_key:
                return self.rows[self._by_key[key]].record, False
        now = datetime.now(UTC)
        values = {name: getattr(new, name) for name in NewFile.__slots__ if name != "idempotency_key"}
        file = File(id=new_id(), state=FileState.REGISTERED, created_at=now, updated_at=now, **values)
        self.rows[file.id] = _waiting(file)
        if new.idempotency_key is not None:
            self._by_key[new.owner, new.idempotency_key] = file.id
        return file, True

    async def page(self, *, state: FileState | None, limit: int, before: RecordId | None) -> Sequence[File]:
        files = (row.record for _, row in sorted(self.rows.items(), reverse=True))
        wanted = (f for f in files if state in (None, f.state) and (before is None or f.id < before))
        return list(itertools.islice(wanted, limit))

    async def request_delete(self, file_id: RecordId) -> File | None:
        row = self.rows.get(file_id)
        if row is not None and row.record.state in DELETABLE and row.next_attempt_at is None:
            counts = {"attempts": 0, "fruitless_attempts": 0}
            self._change(row, {"state": FileState.DELETING, "queue": Queue.MAINTENANCE, "error": None, **counts})
            row.next_attempt_at = row.hinted_at = time.monotonic()
        return row.record if row else None

    async def delivery_made(self, file_id: RecordId) -> None:
        row = self.rows.get(file_id)
        if row is not None and row.record.state is FileState.STORED:
            row.next_attempt_at = row.hint_at = row.hinted_at = None

    async def find_by_key(self, owner: str, idempotency_key: str) -> File | None:
        file_id = self._by_key.get((owner, idempotency_key))
        return self.rows[file_id].record if file_id else None

    async def finish(self, lease: Lease, to_state: FileState, **changes: object) -> None:
        await super().finish(lease, to_state, **changes)
        row = self.rows[lease.record_id]
        if to_state is FileState.STORED and row.record.deliver_to is not None:
            row.next_attempt_at = row.hint_at = time.monotonic()


class MemoryDeliveries(MemoryRecords[Delivery, DeliveryState]):
    """`transfer.ports.DeliveryRegistry`."""

    async def make(self, new: NewDelivery) -> bool:
        if new.id in self.rows:
            return False
        self._insert(new)
        return True

    async def open(self, new: NewDelivery) -> tuple[Delivery, bool]:
        row = self.rows.get(new.id)
        if row is None:
            return self._insert(new), True
        if row.record.state in REOPENABLE:
            again = {"state": DeliveryState.QUEUED, "if_exists": new.destination.if_exists, "error": None}
            counts = {"sent_bytes": 0, "attempts": 0, "fruitless_attempts": 0}
            self._change(row, {"length": new.length, "sha256": new.sha256, **again, **counts})
            row.next_attempt_at = row.hinted_at = time.monotonic()
            return row.record, True
        if row.record.if_exists is not new.destination.if_exists:
            raise OptionsConflict(f"This delivery exists with if_exists={row.record.if_exists}.")
        return row.record, False

    async def hold_name(self, lease: Lease, final_name: str) -> bool:
        row = self._leased(lease)
        claim = (row.record.target, final_name)
        if any(other.claimed == claim for other in self.rows.values() if other is not row):
            return False
        row.claimed = claim
        self._change(row, {"final_name": final_name})
        self._hold(row)
        return True

    async def of_file(self, file_id: RecordId) -> Sequence[Delivery]:
        return [row.record for row in self.rows.values() if row.record.file_id == file_id]

    def _insert(self, new: NewDelivery) -> Delivery:
        now = datetime.now(UTC)
        delivery = Delivery(
            id=new.id,
            file_id=new.file_id,
            owner=new.owner,
            target=new.destination.target,
            object_name=new.destination.object_name,
            if_exists=new.destination.if_exists,
            length=new.length,
            sha256=new.sha256,
            queue=new.queue,
            state=DeliveryState.QUEUED,
            created_at=now,
            updated_at=now,
        )
        self.rows[new.id] = _waiting(delivery)
        return delivery


class MemoryAgenda:
    """`transfer.ports.Agenda`, over the rows of the others."""

    def __init__(
        self,
        files: Mapping[RecordId, Row[File]],
        deliveries: Mapping[RecordId, Row[Delivery]],
        contents: Mapping[RecordId, Row[Content]],
    ) -> None:
        self._sources: tuple[tuple[Mapping[RecordId, Row[Any]], TaskName], ...] = (
            (files, TaskName.UPLOAD_FILE),
            (deliveries, TaskName.FINALIZE_FILE),
            (contents, TaskName.SWEEP_CONTENT),
        )

    async def due(self, limit: int) -> Sequence[Hint]:
        now = time.monotonic()
        times = ((row.hint_at, row, task) for row, task in self._rows())
        return self._take(((at, row, task) for at, row, task in times if at is not None and at <= now), limit)

    async def unanswered(self, queue: Queue, limit: int) -> int:
        return sum(1 for _ in itertools.islice(self._hinted(queue), limit))

    async def overlooked(self, queue: Queue, limit: int, *, seconds: float) -> Sequence[Hint]:
        long_ago = time.monotonic() - seconds
        return self._take((entry for entry in self._hinted(queue) if entry[0] <= long_ago), limit)

    def _rows(self) -> Iterator[tuple[Row[Any], TaskName]]:
        for rows, task in self._sources:
            for row in rows.values():
                yield row, TaskName.DELETE_FILE if row.record.state is FileState.DELETING else task

    def _hinted(self, queue: Queue) -> Iterator[tuple[float, Row[Any], TaskName]]:
        for row, task in self._rows():
            if row.hinted_at is not None and _queue(row) is queue:
                yield row.hinted_at, row, task

    def _take(self, hints: Iterable[tuple[float, Row[Any], TaskName]], limit: int) -> Sequence[Hint]:
        taken = sorted(hints, key=itemgetter(0))[:limit]
        for _, row, _ in taken:
            row.hint_at, row.hinted_at = None, time.monotonic()
        return [Hint(task=task, record_id=row.record.id, queue=_queue(row)) for _, row, task in taken]


def _queue(row: Row[Any]) -> Queue:
    return Queue.MAINTENANCE if isinstance(row.record, Content) else row.record.queue


def _check(files: MemoryFiles, deliveries: MemoryDeliveries, agenda: MemoryAgenda) -> None:
    """For the type checker: they are what they stand for."""
    _: tuple[FileRegistry, DeliveryRegistry, Agenda] = (files, deliveries, agenda)
