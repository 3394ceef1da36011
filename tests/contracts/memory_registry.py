"""The registries and the agenda over plain dicts, with the same leases, on this process's clock."""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
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
    RecordId,
    TaskName,
)
from gridhaul.transfer.ports import Agenda, DeliveryRegistry, FileRegistry
from gridhaul.transfer.states import (
    DELETABLE,
    DELIVERABLE,
    REOPENABLE,
    STORABLE,
    ContentState,
    DeliveryState,
    FileState,
)

HINT_AGAIN_SECONDS = 60.0

R = TypeVar("R", File, Delivery, Content)
S = TypeVar("S")
_numbers = itertools.count(1)


def new_id() -> RecordId:
    """Ids grow."""
    return RecordId(f"{next(_numbers):024x}")


@dataclass(kw_only=True, slots=True)
class Row(Generic[R]):
    """A record and what only the database knows of it; times are those of `time.monotonic`."""

    record: R
    next_attempt_at: float = 0.0
    hint_at: float | None = None
    lease_until: float | None = None
    claimed: tuple[str, str] | None = None

    @property
    def due_and_free(self) -> bool:
        return max(self.next_attempt_at, self.lease_until or 0.0) <= time.monotonic()


class MemoryRecords(Generic[R, S]):
    """`transfer.ports.LeasedRecords`. No method awaits anything, so each is atomic."""

    def __init__(self, *, lease_seconds: float) -> None:
        self.rows: dict[RecordId, Row[R]] = {}
        self._lease_seconds = lease_seconds

    async def get(self, record_id: RecordId) -> R | None:
        row = self.rows.get(record_id)
        return row.record if row else None

    async def claim(self, record_id: RecordId, *, holder: str, from_states: frozenset[S], to_state: S) -> R | None:
        row = self.rows.get(record_id)
        if row is None or row.record.state not in from_states or not row.due_and_free:
            return None
        record: Any = row.record
        counted = {name: getattr(record, name) + 1 for name in ("fence", "attempts", "fruitless_attempts")}
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
        row.lease_until = None
        row.next_attempt_at = row.hint_at = time.monotonic() + delay_seconds

    async def finish(self, lease: Lease, to_state: S, **changes: object) -> None:
        row = self._leased(lease)
        self._change(row, {"state": to_state, "rate": None, **changes})
        row.lease_until = row.hint_at = row.claimed = None
        row.next_attempt_at = 0.0

    def _leased(self, lease: Lease) -> Row[R]:
        row = self.rows.get(lease.record_id)
        record: Any = row.record if row else None
        if row is None or row.lease_until is None or record.fence != lease.fence:
            raise LeaseLost(f"record {lease.record_id}, fence {lease.fence}")
        return row

    def _hold(self, row: Row[R]) -> None:
        row.lease_until = row.hint_at = time.monotonic() + self._lease_seconds

    def _change(self, row: Row[R], changes: Mapping[str, Any]) -> None:
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
        self.rows[file.id] = Row(record=file, hint_at=time.monotonic() + HINT_AGAIN_SECONDS)
        if new.idempotency_key is not None:
            self._by_key[new.owner, new.idempotency_key] = file.id
        return file, True

    async def page(self, *, state: FileState | None, limit: int, before: RecordId | None) -> Sequence[File]:
        files = (row.record for _, row in sorted(self.rows.items(), reverse=True))
        wanted = (f for f in files if state in (None, f.state) and (before is None or f.id < before))
        return list(itertools.islice(wanted, limit))

    async def request_delete(self, file_id: RecordId) -> File | None:
        row = self.rows.get(file_id)
        if row is not None and row.record.state in DELETABLE:
            self._change(row, {"state": FileState.DELETING, "error": None, "attempts": 0, "fruitless_attempts": 0})
            row.next_attempt_at = row.hint_at = time.monotonic()
        return row.record if row else None

    async def delivery_made(self, file_id: RecordId) -> None:
        row = self.rows.get(file_id)
        if row is not None and row.record.state is FileState.STORED:
            row.hint_at = None

    async def finish(self, lease: Lease, to_state: FileState, **changes: object) -> None:
        await super().finish(lease, to_state, **changes)
        row = self.rows[lease.record_id]
        if to_state is FileState.STORED and row.record.deliver_to is not None:
            row.hint_at = time.monotonic()


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
            row.next_attempt_at = time.monotonic()
            row.hint_at = row.next_attempt_at + HINT_AGAIN_SECONDS
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
            state=DeliveryState.QUEUED,
            created_at=now,
            updated_at=now,
        )
        self.rows[new.id] = Row(record=delivery, hint_at=time.monotonic() + HINT_AGAIN_SECONDS)
        return delivery


class MemoryAgenda:
    """`transfer.ports.Agenda`, over the rows of the others."""

    def __init__(self, files: MemoryFiles, deliveries: MemoryDeliveries, contents: Mapping[RecordId, Row[Content]]):
        self._rows: tuple[Mapping[RecordId, Row[Any]], ...] = (files.rows, deliveries.rows, contents)

    async def waiting(self, limit: int) -> int:
        return sum(1 for _ in itertools.islice(self._claimable(), limit))

    async def due(self, limit: int) -> Sequence[Hint]:
        rows = [row for row in self._all() if row.hint_at is not None and row.hint_at <= time.monotonic()]
        return self._take(sorted(rows, key=lambda row: row.hint_at or 0.0)[:limit])

    async def overlooked(self, limit: int) -> Sequence[Hint]:
        return self._take(sorted(self._claimable(), key=lambda row: row.next_attempt_at)[:limit])

    def _all(self) -> Iterator[Row[Any]]:
        return (row for rows in self._rows for row in rows.values())

    def _claimable(self) -> Iterator[Row[Any]]:
        return (row for row in self._all() if row.record.state in _TASKS and row.due_and_free)

    def _take(self, rows: Sequence[Row[Any]]) -> Sequence[Hint]:
        for row in rows:
            row.hint_at = time.monotonic() + HINT_AGAIN_SECONDS
        tasks = {FileState.STORED: TaskName.UPLOAD_FILE, **_TASKS}
        return [Hint(task=tasks[r.record.state], record_id=r.record.id, length=r.record.length) for r in rows]


def _check(files: MemoryFiles, deliveries: MemoryDeliveries, agenda: MemoryAgenda) -> None:
    """For the type checker: they are what they stand for."""
    _: tuple[FileRegistry, DeliveryRegistry, Agenda] = (files, deliveries, agenda)
