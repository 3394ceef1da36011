"""Memory twins of the batches: their records, their lanes, their members, what they skipped, and whose turn it is."""

import itertools
import time
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from operator import itemgetter
from typing import Any

from gridhaul.transfer.batches import (
    AT_ITS_END,
    ENDED,
    GO_ON_WITH_MEMBER,
    OPEN_BATCH,
    Batch,
    BatchState,
    Counts,
    Group,
    Lane,
    NewBatch,
    Plan,
    Skipped,
    StoredMember,
    Token,
)
from gridhaul.transfer.bundle import BUNDLE_FILES, BUNDLED_BYTES
from gridhaul.transfer.errors import NotFound
from gridhaul.transfer.model import Delivery, File, Hint, NewFile, Queue, RecordId, TaskName
from gridhaul.transfer.ports.batches import (
    BatchRegistry,
    DueDelivery,
    DueMembers,
    Lanes,
    Members,
    RunnableBatches,
    SkippedPaths,
)
from gridhaul.transfer.ports.hints import WaitingOwners
from gridhaul.transfer.states import (
    DELIVERABLE,
    DELIVERY_MOVES,
    FILE_MOVES,
    OPEN,
    UNFINISHED,
    Action,
    DeliveryState,
    FileState,
    Move,
)
from tests.contracts.memory_registry import (
    MemoryDeliveries,
    MemoryFiles,
    MemoryRecords,
    Row,
    hint_of,
    hinted_by_batch,
    moment,
    new_id,
    queue_of,
    task_of,
    waiting_row,
    wall_clock,
)


class MemoryBatches(MemoryRecords[Batch, BatchState]):
    """A twin of `transfer.ports.batches.BatchRegistry` and `RunnableBatches`."""

    waiting = frozenset(BatchState)

    def __init__(self, *, lease_seconds: float) -> None:
        super().__init__(lease_seconds=lease_seconds)
        self._by_key: dict[tuple[str, str], RecordId] = {}

    async def register(self, new: NewBatch) -> tuple[Batch, bool]:
        key = new.idempotency_key
        if key is not None and (same := await self.find_by_key(new.owner, key)) is not None:
            return same, False
        now = wall_clock()
        values = {name: getattr(new, name) for name in NewBatch.__slots__ if name not in ("idempotency_key", "dry_run")}
        values |= {"state": BatchState.PLANNING, "plan": Plan()} if new.dry_run else {"state": BatchState.REGISTERING}
        batch = Batch(id=new_id(), queue=Queue.MAINTENANCE, created_at=now, updated_at=now, **values)
        self.rows[batch.id] = waiting_row(batch)
        if key is not None:
            self._by_key[new.owner, key] = batch.id
        return self.rows[batch.id].record, True

    async def find_by_key(self, owner: str, idempotency_key: str) -> Batch | None:
        batch_id = self._by_key.get((owner, idempotency_key))
        return self.rows[batch_id].record if batch_id else None

    async def page(
        self, *, owner: str | None, states: Collection[BatchState], limit: int, before: RecordId | None
    ) -> Sequence[Batch]:
        newest_first = sorted((row.record for row in self.rows.values()), key=lambda one: one.id, reverse=True)
        wanted = (
            replace(one, history=())
            for one in newest_first
            if owner in (None, one.owner) and (not states or one.state in states) and (not before or one.id < before)
        )
        return [*itertools.islice(wanted, limit)]

    async def count_open(self, owner: str, *, limit: int) -> int:
        records = (row.record for row in self.rows.values())
        theirs = (one for one in records if one.owner == owner and one.state in OPEN_BATCH)
        return sum(1 for _ in itertools.islice(theirs, limit))

    async def note_counts(self, batch_id: RecordId, counts: Counts) -> None:
        row = self.rows[batch_id]
        row.record = replace(row.record, counts=counts)

    async def claim_in_its_state(self, batch_id: RecordId, *, holder: str) -> Batch | None:
        row = self.rows.get(batch_id)
        if row is None or row.next_attempt_at is None or not row.due_and_free:
            return None
        self._change(row, {name: getattr(row.record, name) + 1 for name in ("fence", "fruitless_attempts")})
        self._hold(row)
        return row.record

    async def move(
        self, record_id: RecordId, move: Move[Any], *, who: str | None = None, **changes: object
    ) -> Batch | None:
        row = self.rows.get(record_id)
        if row is not None and row.record.following is not None and (row.lease_until or 0) > time.monotonic():
            changes = {"rival_until": moment(row.lease_until or 0), **changes}
        return await super().move(record_id, move, who=who, **changes)

    def _may(self, record: Batch, move: Move[Any]) -> bool:
        return super()._may(record, move) and not (move is GO_ON_WITH_MEMBER and record.following is not None)

    async def look_soon(self, batch_id: RecordId) -> bool:
        row = self.rows.get(batch_id)
        if row is None or row.record.state is not BatchState.RUNNING or (row.lease_until or 0) > time.monotonic():
            return False
        self._due_now(row)
        return True

    def _change(self, row: Row[Batch], changes: Mapping[str, Any], *, who: str | None = None) -> None:
        state = changes.get("state", row.record.state)
        ended_at = row.record.ended_at or wall_clock() if state in ENDED | AT_ITS_END else None
        own = {name: value for name, value in changes.items() if name != "rate"}  # a batch has no rate of its own
        super()._change(row, {**own, "ended_at": ended_at}, who=who)


class MemoryLanes:
    """A twin of `transfer.ports.batches.Lanes`."""

    def __init__(self) -> None:
        self.rows: dict[RecordId, Row[Lane]] = {}

    async def wake(self, batch_id: RecordId, owner: str, queues: Collection[Queue]) -> Sequence[Hint]:
        return [self._wake(batch_id, owner, queue).hint for queue in sorted(queues)]

    async def take(self, token: Token) -> Lane | None:
        row = next((row for row in self.rows.values() if row.record.token == token), None)
        if row is None:
            return None
        row.record = replace(row.record, token=Token(new_id()))
        row.hint_at, row.hinted_at = None, time.monotonic()
        return row.record

    async def rest(self, lane: Lane, until: datetime | None) -> bool:
        row = self._row(lane.batch_id, lane.queue)
        if row is None or row.record != lane:
            return False
        row.hint_at, row.hinted_at = None if until is None else _monotonic(until), None
        return True

    async def owe(self, lane: Lane, until: datetime) -> None:
        row, at = self._row(lane.batch_id, lane.queue), _monotonic(until)
        if row is not None and row.hinted_at is None and (row.hint_at is None or row.hint_at > at):
            row.hint_at = at

    def _wake(self, batch_id: RecordId, owner: str, queue: Queue) -> Lane:
        row = self._row(batch_id, queue)
        if row is None:
            lane = Lane(batch_id=batch_id, owner=owner, queue=queue, token=Token(new_id()), revision=0)
            row = self.rows[new_id()] = Row(record=lane)
        row.record = replace(row.record, revision=row.record.revision + 1)
        row.hint_at, row.hinted_at = None, time.monotonic()
        return row.record

    def _row(self, batch_id: RecordId, queue: Queue) -> Row[Lane] | None:
        lanes = (row for row in self.rows.values() if (row.record.batch_id, row.record.queue) == (batch_id, queue))
        return next(lanes, None)


class MemoryMembers:
    """A twin of `transfer.ports.batches.Members` over the twins of files and deliveries."""

    def __init__(self, files: MemoryFiles, deliveries: MemoryDeliveries) -> None:
        self._files = files
        self._deliveries = deliveries

    async def insert(self, new: Sequence[NewFile]) -> Sequence[NewFile | None]:
        return [None if await self._inserted(one) else one for one in new]

    async def registered_paths(self, batch_id: RecordId, paths: Collection[str]) -> frozenset[str]:
        return frozenset(paths) & {row.record.source.path for row in self._file_rows(batch_id)}

    async def due(self, batch_id: RecordId, queue: Queue, *, limit: int) -> DueMembers:
        if deliveries := _due(self._delivery_rows(batch_id), queue, limit):
            due = [DueDelivery(id=record.id, length=record.length, state=record.state) for record in deliveries]
            return DueMembers(deliveries=due)
        return DueMembers(files=_due(self._file_rows(batch_id), queue, limit))

    async def next_due(self, batch_id: RecordId, queue: Queue) -> datetime | None:
        rows: list[Row[Any]] = [*self._delivery_rows(batch_id), *self._file_rows(batch_id)]
        times = (max(at, row.lease_until or at) for at, row in _owed(rows, queue))
        earliest = min(times, default=None)
        return None if earliest is None else moment(earliest)

    async def any_open(self, batch_id: RecordId) -> bool:
        return any(_is_open(row) for row in self._file_rows(batch_id)) or any(
            row.record.state in OPEN for row in self._delivery_rows(batch_id)
        )

    async def any_deliverable(self, batch_id: RecordId) -> bool:
        return any(row.record.state in DELIVERABLE for row in self._delivery_rows(batch_id))

    async def follow(self, batch_id: RecordId, action: Action, *, who: str | None, limit: int) -> int:
        file_move, delivery_move, moved = FILE_MOVES[action], DELIVERY_MOVES[action], 0
        if action is not Action.RETRY:
            for file_id in _movable(self._file_rows(batch_id), file_move, limit):
                moved += await self._files.move(file_id, file_move, who=who) is not None
        for delivery_id in _movable(self._delivery_rows(batch_id), delivery_move, limit):
            moved += await self._deliveries.move(delivery_id, delivery_move, who=who) is not None
        return moved

    async def retry_cancelled(self, batch_id: RecordId, *, limit: int) -> int:
        rows = [row for row in self._delivery_rows(batch_id) if row.record.state is DeliveryState.CANCELLED]
        moved = [await self._deliveries.move(row.record.id, DELIVERY_MOVES[Action.RETRY]) for row in rows[:limit]]
        return len(moved) - moved.count(None)

    async def retry_unchanged(self, file_ids: Sequence[RecordId]) -> int:
        moved = [await self._files.move(file_id, FILE_MOVES[Action.RETRY]) for file_id in file_ids]
        return len(moved) - moved.count(None)

    async def failed_files(self, batch_id: RecordId, *, after: RecordId | None, limit: int) -> Sequence[File]:
        failed = FILE_MOVES[Action.RETRY].from_states
        theirs = [row.record for row in self._file_rows(batch_id) if row.record.state in failed]
        newest_first = sorted(theirs, key=lambda file: file.id, reverse=True)
        return [file for file in newest_first if after is None or file.id < after][:limit]

    async def counts(self, batch_id: RecordId) -> Counts:
        files = [row.record for row in self._file_rows(batch_id)]
        deliveries = [row.record for row in self._delivery_rows(batch_id)]
        members: list[File | Delivery] = [*files, *deliveries]
        errors = [one.error for one in members if one.state.value == FileState.FAILED.value]
        codes = Counter(error.code for error in errors if error is not None)
        return Counts(
            files=_groups(files),
            deliveries=_groups(deliveries),
            failures=dict(codes),
            skipped={},
            counted_at=wall_clock(),
        )

    async def stored(self, batch_id: RecordId) -> AsyncGenerator[StoredMember]:
        stored = [row.record for row in self._file_rows(batch_id) if row.record.state is FileState.STORED]
        for file in sorted(stored, key=lambda one: one.name.encode()):
            assert file.sha256 is not None
            yield StoredMember(name=file.name, length=file.length, sha256=file.sha256)

    async def _inserted(self, new: NewFile) -> bool:
        assert new.batch_id is not None
        there = [row.record for row in self._file_rows(new.batch_id)]
        if any(file.source.path == new.source.path or file.name == new.name for file in there):
            return False
        await self._files.register(new)
        return True

    def _file_rows(self, batch_id: RecordId) -> Iterator[Row[File]]:
        return (row for row in self._files.rows.values() if row.record.batch_id == batch_id)

    def _delivery_rows(self, batch_id: RecordId) -> Iterator[Row[Delivery]]:
        return (row for row in self._deliveries.rows.values() if row.record.batch_id == batch_id)


class MemorySkippedPaths:
    """A twin of `transfer.ports.batches.SkippedPaths`."""

    def __init__(self) -> None:
        self._by_batch: dict[RecordId, dict[str, Skipped]] = {}

    async def add(self, batch_id: RecordId, skipped: Sequence[Skipped]) -> None:
        noted = self._by_batch.setdefault(batch_id, {})
        for one in skipped:
            noted.setdefault(one.path, one)

    async def page(self, batch_id: RecordId, *, limit: int, after: RecordId | None) -> Sequence[Skipped]:
        noted = self._by_batch.get(batch_id, {})
        paths = sorted(noted, key=str.encode)
        if after is None:
            return [noted[path] for path in paths[:limit]]
        at = next((at for at, path in enumerate(paths) if noted[path].id_in(batch_id) == after), None)
        if at is None:
            raise NotFound("There is no such page.")
        return [noted[path] for path in paths[at + 1 : at + 1 + limit]]

    async def counts(self, batch_id: RecordId) -> Mapping[str, int]:
        return Counter(one.reason for one in self._by_batch.get(batch_id, {}).values())

    async def forget(self, batch_id: RecordId) -> None:
        self._by_batch.pop(batch_id, None)


class MemoryWaitingOwners:
    """A twin of `transfer.ports.hints.WaitingOwners` over the rows of the other twins."""

    def __init__(
        self,
        files: Mapping[RecordId, Row[File]],
        deliveries: Mapping[RecordId, Row[Delivery]],
        lanes: Mapping[RecordId, Row[Lane]],
    ) -> None:
        self._sources: tuple[tuple[Mapping[RecordId, Row[Any]], TaskName], ...] = (
            (files, TaskName.UPLOAD_FILE),
            (deliveries, TaskName.FINALIZE_FILE),
            (lanes, TaskName.TAKE_DUE),
        )

    async def next(self, queue: Queue, *, after: str, instead_of: str) -> tuple[str, Sequence[Hint]] | None:
        hinted: dict[str, list[tuple[Hint, int]]] = {}
        for _, owner, hint, length in sorted(self._hinted(queue), key=itemgetter(0)):
            hinted.setdefault(owner, []).append((hint, length))
        hinted.pop(instead_of, None)
        if not hinted:
            return None
        following = min((name for name in hinted if name > after), default=min(hinted))
        return following, _turn(hinted[following])

    def _hinted(self, queue: Queue) -> Iterator[tuple[float, str, Hint, int]]:
        for rows, task in self._sources:
            for row in rows.values():
                if row.hinted_at is not None and queue_of(row) is queue and not hinted_by_batch(row):
                    length = getattr(row.record, "length", 0)  # a lane has none
                    yield row.hinted_at, row.record.owner, hint_of(row, task_of(row.record, task)), length


def _turn(waiting: Sequence[tuple[Hint, int]]) -> Sequence[Hint]:
    """Return the first hint, and if such small records are done together, those of the others, by their lengths."""
    first, _ = waiting[0]
    if first.queue is not Queue.SMALL or first.task not in (TaskName.STORE_BUNDLE, TaskName.FINALIZE_FILE):
        return [first]
    ends = itertools.accumulate(length for _, length in waiting)
    alike = [(hint, end) for (hint, _), end in zip(waiting, ends, strict=True) if hint.task is first.task]
    return [hint for at, (hint, end) in enumerate(alike[:BUNDLE_FILES]) if at == 0 or end <= BUNDLED_BYTES]


def _owed(rows: Iterable[Row[Any]], queue: Queue) -> Iterator[tuple[float, Row[Any]]]:
    """Yield the rows of the queue that a worker has to look at, each with the time of its next attempt."""
    for row in rows:
        if row.next_attempt_at is not None and queue_of(row) is queue:
            yield row.next_attempt_at, row


def _due(rows: Iterable[Row[Any]], queue: Queue, limit: int) -> list[Any]:
    """Return the records that are due, the one that has waited longest first."""
    in_order = sorted(_owed(rows, queue), key=itemgetter(0))
    return [row.record for _, row in in_order if row.due_and_free][:limit]


def _is_open(row: Row[File]) -> bool:
    owes_deliveries = row.record.state is FileState.STORED and row.next_attempt_at is not None
    return row.record.state in UNFINISHED or owes_deliveries


def _movable(rows: Iterable[Row[Any]], move: Move[Any], limit: int) -> list[RecordId]:
    return [*itertools.islice((row.record.id for row in rows if row.record.state in move.from_states), limit)]


def _groups(records: Sequence[File] | Sequence[Delivery]) -> dict[str, Group]:
    lengths: dict[str, list[int]] = {}
    for record in records:
        lengths.setdefault(record.state.value, []).append(record.length)
    return {state: Group(count=len(some), bytes=sum(some)) for state, some in lengths.items()}


def _monotonic(at: datetime) -> float:
    """Return the time of `time.monotonic` at a time of day."""
    return time.monotonic() + (at - wall_clock()).total_seconds()


def _check(batches: MemoryBatches, lanes: MemoryLanes, members: MemoryMembers, skipped: MemorySkippedPaths) -> None:
    """Let the type checker see that the twins have the methods of their ports."""
    _: tuple[BatchRegistry, RunnableBatches, Lanes, Members, SkippedPaths]
    _ = (batches, batches, lanes, members, skipped)


def _check_turns(waiting: MemoryWaitingOwners) -> None:
    _: WaitingOwners = waiting
