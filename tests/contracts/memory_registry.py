"""Memory twins of the registries and the agenda, over plain dicts, with leases on this process's clock."""

import itertools
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, Generic, TypeVar

from gridhaul.transfer.batches import Batch, Lane
from gridhaul.transfer.bundle import BUNDLED_DELIVERY_BYTES, BUNDLED_FILE_BYTES, storing_task
from gridhaul.transfer.checks import Check
from gridhaul.transfer.errors import LeaseLost, OptionsConflict, Patience
from gridhaul.transfer.findings import SkipReason
from gridhaul.transfer.known_targets import TargetRecord
from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import (
    ATTEMPTS_KEPT,
    EVENTS_KEPT,
    FIRST_EVENTS_KEPT,
    FORMER_RECEIPTS_KEPT,
    Content,
    Delivery,
    Event,
    File,
    FormerReceipt,
    Hint,
    IfExists,
    Lease,
    NewDelivery,
    NewFile,
    Queue,
    Receipt,
    RecordId,
    TaskName,
    Wait,
)
from gridhaul.transfer.ports.deliveries import DeliverableRecords, DeliveryRegistry
from gridhaul.transfer.ports.files import FileRegistry, StorableFiles
from gridhaul.transfer.ports.hints import Agenda
from gridhaul.transfer.states import (
    DELETABLE,
    DELIVERABLE,
    OVER,
    REOPENABLE,
    UNFINISHED,
    Action,
    DeliveryState,
    FileState,
    Move,
)
from tests.contracts.memory_lists import selected

R = TypeVar("R", File, Delivery, Content, Check, Batch, Lane, TargetRecord)
Leasable = TypeVar("Leasable", File, Delivery, Check, Batch, TargetRecord)
S = TypeVar("S")
_numbers = itertools.count(1)
ERRORS = ("error", "object_error", "cleaning_error")  # a record may get or lose one without a change of its state
BOOTED_AT = datetime.now(UTC) - timedelta(seconds=time.monotonic())


def wall_clock() -> datetime:
    """Return the time of day, which moves with `time.monotonic`: a test may replace both by virtual time."""
    return BOOTED_AT + timedelta(seconds=time.monotonic())


def moment(monotonic: float) -> datetime:
    """Return the time of day at a time of `time.monotonic`."""
    return BOOTED_AT + timedelta(seconds=monotonic)


def new_id() -> RecordId:
    """Return a new id, greater than all earlier ones."""
    return RecordId(f"{next(_numbers):024x}")


@dataclass(kw_only=True, slots=True)
class Row(Generic[R]):
    """A record, and the fields that only the database knows. Times are those of `time.monotonic`."""

    record: R
    next_attempt_at: float | None = None  # None: no worker has anything to do for the record
    hint_at: float | None = None  # from when on a hint is owed
    hinted_at: float | None = None  # when a hint was given on which no worker has acted yet
    lease_until: float | None = None
    claimed: tuple[str, str] | None = None
    queue_before: Queue | None = None  # of a delivery whose queue is that of maintenance

    def attempt_at(self, when: float | None) -> None:
        """Note when a worker may claim the record; None: no worker has to."""
        self.next_attempt_at = when
        if isinstance(self.record, File | Delivery | Batch | TargetRecord):
            at = None if when is None else moment(when)
            self.record = replace(self.record, next_attempt_at=at)

    def note(self, *, code: str | None = None, who: str | None = None) -> None:
        """Add an event to the record's history, if it has one."""
        record: Any = self.record
        if not hasattr(record, "history"):
            return
        number = record.revision + 1
        happened = {"time": record.updated_at, "state": record.state, "attempt": record.attempts}
        event = Event(**happened, revision=number, code=code, who=who)
        events: tuple[Event, ...] = (*record.history, event)
        if len(events) > EVENTS_KEPT:
            events = (*events[:FIRST_EVENTS_KEPT], *events[FIRST_EVENTS_KEPT - EVENTS_KEPT :])
        self.record = replace(record, history=events, revision=number, changed_at=record.updated_at)

    @property
    def due_and_free(self) -> bool:
        return max(self.next_attempt_at or 0.0, self.lease_until or 0.0) <= time.monotonic()


def waiting_row(record: Leasable, *, who: str | None = None) -> Row[Leasable]:
    """Return the row of a new record: claimable now, and hinted by its maker."""
    row = Row(record=record, hinted_at=time.monotonic())
    row.attempt_at(row.hinted_at)
    row.note(who=who)
    return row


class MemoryRecords(Generic[Leasable, S]):
    """A twin of `transfer.ports.leasing.LeasedRecords`. No method awaits anything, so each is atomic."""

    waiting: frozenset[Any]

    def __init__(self, *, lease_seconds: float) -> None:
        self.rows: dict[RecordId, Row[Leasable]] = {}
        self.lease_seconds = lease_seconds

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
        row.hint_at = time.monotonic() + delay_seconds
        row.attempt_at(row.hint_at)
        self._once_released(row)

    async def wait(
        self, lease: Lease, to_state: S, *, patience: Patience, delay_seconds: float, **changes: object
    ) -> None:
        await self.release(lease, to_state, delay_seconds=delay_seconds, **changes)
        row = self.rows[lease.record_id]
        wait = row.record.wait
        if wait is None or wait.patience is not patience:
            wait = Wait(since=row.record.updated_at, attempts=0, patience=patience)
        row.record = replace(row.record, wait=replace(wait, attempts=wait.attempts + 1))

    async def finish(self, lease: Lease, to_state: S, **changes: object) -> None:
        row = self._leased(lease)
        self._change(row, {"state": to_state, "rate": None, **changes, "wait": None})
        row.lease_until = None
        self._at_rest(row)

    async def require(self, lease: Lease) -> None:
        self._leased(lease)

    async def move(
        self, record_id: RecordId, move: Move[Any], *, who: str | None = None, **changes: object
    ) -> Leasable | None:
        row = self.rows.get(record_id)
        if row is None or not self._may(row.record, move):
            return None
        afresh = {"rate": None, "error": None, "wait": None, "fruitless_attempts": 0, "fence": row.record.fence + 1}
        self._change(row, {"state": move.to_state, **afresh, **changes}, who=who)
        row.lease_until = self._lease_left(row)
        if move.to_state in self.waiting:
            self._due_now(row)
        else:
            self._at_rest(row)
        return row.record

    async def hurry(self, record_id: RecordId, *, who: str | None = None) -> Leasable | None:
        row = self.rows.get(record_id)
        if row is None or row.record.state not in self.waiting or row.next_attempt_at is None:
            return None
        if row.next_attempt_at <= time.monotonic() or (row.lease_until or 0.0) > time.monotonic():
            return None
        self._due_now(row)
        self._change(row, {})
        row.note(who=who)
        return row.record

    def _may(self, record: Leasable, move: Move[Any]) -> bool:
        return record.state in move.from_states

    def _lease_left(self, row: Row[Leasable]) -> float | None:
        """Return until when nobody may claim a record that was moved away from its worker."""
        return None

    def _due_now(self, row: Row[Leasable]) -> None:
        now = time.monotonic()
        row.attempt_at(now)
        leased = row.lease_until is not None and row.lease_until > now
        row.hint_at, row.hinted_at = (row.lease_until, None) if leased else (None, now)

    def _at_rest(self, row: Row[Leasable]) -> None:
        row.hint_at = row.hinted_at = None
        row.attempt_at(None)

    def _once_released(self, row: Row[Leasable]) -> None:
        pass

    def _leased(self, lease: Lease) -> Row[Leasable]:
        row = self.rows.get(lease.record_id)
        if row is None or row.lease_until is None or row.record.fence != lease.fence:
            raise LeaseLost(f"record {lease.record_id}, fence {lease.fence}")
        return row

    def _hold(self, row: Row[Leasable]) -> None:
        row.lease_until = row.hint_at = time.monotonic() + self.lease_seconds
        row.hinted_at = None

    def _change(self, row: Row[Leasable], changes: Mapping[str, Any], *, who: str | None = None) -> None:
        before = row.record
        row.record = replace(before, updated_at=wall_clock(), **changes)
        told = [changes[name].code for name in ERRORS if changes.get(name)]
        errors = any(_code(before, name) != _code(row.record, name) for name in ERRORS if name in changes)
        if errors or (before.state, before.attempts) != (row.record.state, row.record.attempts):
            row.note(code=told[0] if told else None, who=who)


class MemoryFiles(MemoryRecords[File, FileState]):
    """A twin of `transfer.ports.files.FileRegistry` and `StorableFiles`."""

    waiting = frozenset({FileState.REGISTERED, FileState.STORING})

    def _change(self, row: Row[File], changes: Mapping[str, Any], *, who: str | None = None) -> None:
        if "identity" in changes:  # MongoDB keeps the fields of a server path beside those of the file
            origin = replace(row.record.source, identity=changes["identity"])
            changes = {name: value for name, value in changes.items() if name != "identity"} | {"origin": origin}
        super()._change(row, changes, who=who)

    def __init__(self, *, lease_seconds: float) -> None:
        super().__init__(lease_seconds=lease_seconds)
        self.by_key: dict[tuple[str, str], RecordId] = {}

    async def register(self, new: NewFile) -> tuple[File, bool]:
        return self._registered(new, FileState.REGISTERED)

    def _registered(self, new: NewFile, state: FileState) -> tuple[File, bool]:
        """Register the file in this state, as `register` does."""
        if new.idempotency_key is not None:
            key = (new.owner, new.idempotency_key)
            if key in self.by_key:
                return self.rows[self.by_key[key]].record, False
        now = wall_clock()
        values = {name: getattr(new, name) for name in NewFile.__slots__ if name != "idempotency_key"}
        file = File(id=new_id(), state=state, created_at=now, updated_at=now, **values)
        self.rows[file.id] = waiting_row(file, who=new.owner if new.batch_id is None else None)
        if new.idempotency_key is not None:
            self.by_key[new.owner, new.idempotency_key] = file.id
        return self.rows[file.id].record, True

    async def page(self, selection: Selection, *, limit: int, after: File | None) -> Sequence[File]:
        return _listed(selected((row.record for row in self.rows.values()), selection, after=after), limit)

    async def count_open(self, owner: str, *, limit: int) -> int:
        alone = (row.record for row in self.rows.values() if row.record.batch_id is None)
        theirs = (file for file in alone if file.owner == owner and file.state in UNFINISHED)
        return sum(1 for _ in itertools.islice(theirs, limit))

    async def retry(self, file: File, *, who: str | None = None, **changes: object) -> File | None:
        as_read = self.rows[file.id].record.fence == file.fence
        return await self.move(file.id, file.origin.moves[Action.RETRY], who=who, **changes) if as_read else None

    async def request_delete(self, file_id: RecordId, *, deliveries_asked: int, who: str | None = None) -> File | None:
        row = self.rows.get(file_id)
        if row is None:
            return None
        at_rest = row.record.state in DELETABLE and row.next_attempt_at is None
        if at_rest and row.record.deliveries_asked == deliveries_asked:
            changes = {"state": FileState.DELETING, "queue": Queue.MAINTENANCE, "error": None}
            self._change(row, {**changes, "attempts": 0, "fruitless_attempts": 0}, who=who)
            self._due_now(row)
        return row.record

    async def begin_delete(self, deliveries_asked: Mapping[RecordId, int]) -> None:
        for file_id, asked in deliveries_asked.items():
            row = self.rows[file_id]
            if row.record.state in DELETABLE and row.record.deliveries_asked == asked:
                self._take_away(row, {"state": FileState.DELETING, "error": None})

    async def end_delete(self, file_ids: Collection[RecordId]) -> int:
        deleting = [self.rows[file_id] for file_id in file_ids if file_id in self.rows]
        deleting = [row for row in deleting if row.record.state is FileState.DELETING]
        for row in deleting:
            self._take_away(row, {"state": FileState.DELETED, "stored_bytes": 0})
        return len(deleting)

    def _take_away(self, row: Row[File], changes: Mapping[str, Any]) -> None:
        """Change the record and let it rest, whoever holds it."""
        self._change(row, {**changes, "fence": row.record.fence + 1, "wait": None})
        row.lease_until = None
        super()._at_rest(row)

    async def deliveries_made(self, counts: Mapping[RecordId, int]) -> None:
        for file_id, count in counts.items():
            if self._count_deliveries(file_id, count):
                super()._at_rest(self.rows[file_id])

    async def count_delivery(self, file_id: RecordId) -> bool:
        return self._count_deliveries(file_id, 1)

    def _count_deliveries(self, file_id: RecordId, count: int) -> bool:
        row = self.rows.get(file_id)
        if row is None or row.record.state is not FileState.STORED:
            return False
        row.record = replace(row.record, deliveries_asked=row.record.deliveries_asked + count)
        return True

    async def get_all(self, file_ids: Collection[RecordId]) -> Sequence[File]:
        return [self.rows[file_id].record for file_id in file_ids if file_id in self.rows]

    async def claim_new(self, contents: Mapping[RecordId, RecordId], *, holder: str) -> Sequence[File]:
        new = frozenset({FileState.REGISTERED})
        there = [self.rows[file_id] for file_id in contents if file_id in self.rows]
        for row in there:
            untouched = (row.record.attempts, row.record.content_id) == (0, None)
            if untouched and row.record.length <= BUNDLED_FILE_BYTES:
                claimed = await self.claim(row.record.id, holder=holder, from_states=new, to_state=FileState.STORING)
                row.record = replace(row.record, content_id=contents[row.record.id] if claimed else None)
        return [row.record for row in there]

    async def finish_all(self, ended: Mapping[Lease, Mapping[str, object]], to_state: FileState) -> None:
        for lease, changes in ended.items():
            with suppress(LeaseLost):
                await self.finish(lease, to_state, **changes)

    async def release_all(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            with suppress(LeaseLost):
                record = self._leased(lease).record
                fewer = {name: getattr(record, name) - 1 for name in ("attempts", "fruitless_attempts")}
                await self.release(lease, FileState.REGISTERED, delay_seconds=0, **fewer)

    async def find_by_key(self, owner: str, idempotency_key: str) -> File | None:
        file_id = self.by_key.get((owner, idempotency_key))
        return self.rows[file_id].record if file_id else None

    def _at_rest(self, row: Row[File]) -> None:
        super()._at_rest(row)
        if row.record.state is FileState.STORED and row.record.deliver_to:
            row.hint_at = time.monotonic()
            row.attempt_at(row.hint_at)


class MemoryDeliveries(MemoryRecords[Delivery, DeliveryState]):
    """A twin of `transfer.ports.deliveries.DeliveryRegistry` and `DeliverableRecords`."""

    waiting = frozenset({DeliveryState.QUEUED})

    def __init__(self, *, lease_seconds: float, sweep_seconds: float = 0.0) -> None:
        super().__init__(lease_seconds=lease_seconds)
        self._sweep_seconds = sweep_seconds

    async def make_all(self, new: Sequence[NewDelivery]) -> frozenset[RecordId]:
        missing = {one.id: one for one in new if one.id not in self.rows}
        for one in missing.values():
            self._insert(one, who=None)
        return frozenset(missing)

    async def open(self, new: NewDelivery, *, who: str | None = None) -> tuple[Delivery, bool]:
        row = self.rows.get(new.id)
        if row is None:
            return self._insert(new, who=who), True
        if row.record.state in REOPENABLE:
            again = {"state": DeliveryState.QUEUED, "if_exists": new.destination.if_exists, "error": None}
            counts = {
                "sent_bytes": 0,
                "sent_in_attempts": (),
                "attempts": 0,
                "fruitless_attempts": 0,
                "fence": row.record.fence + 1,
            }
            row.lease_until = self._lease_left(row)
            asked = {"length": new.length, "sha256": new.sha256, "queue": new.queue, "source_path": new.source_path}
            self._change(row, {**asked, **again, **counts}, who=who)
            self._due_now(row)
            return row.record, True
        if row.record.if_exists is not new.destination.if_exists:
            raise OptionsConflict(f"This delivery exists with if_exists={row.record.if_exists}.")
        return row.record, False

    async def why_not_ours(self, delivery: Delivery) -> SkipReason | None:
        others = [row for row in self.rows.values() if row.record.id != delivery.id]
        name = (delivery.target, delivery.final_name)
        if any(row.claimed == name for row in others):
            return SkipReason.NAME_HELD
        bytes_there = [
            (receipt.sha256, ended_at)
            for row in others
            for receipt, ended_at in _receipts(row.record)
            if (receipt.target, receipt.object_name) == name
        ]
        assert delivery.ended_at is not None
        replaced = any(sha256 != delivery.sha256 and at >= delivery.ended_at for sha256, at in bytes_there)
        return SkipReason.REPLACED if replaced else None

    async def hold_name(self, lease: Lease, final_name: str) -> bool:
        row = self._leased(lease)
        claim = (row.record.target, final_name)
        if any(other.claimed == claim for other in self.rows.values() if other is not row):
            return False
        row.claimed = claim
        self._change(row, {"final_name": final_name})
        self._hold(row)
        return True

    async def note_upload(self, lease: Lease, **changes: object) -> None:
        begun = (*self._leased(lease).record.uploads_begun, wall_clock())[-ATTEMPTS_KEPT:]
        await self.renew(lease, **changes, uploads_begun=begun)

    async def claim_plain(self, delivery_ids: Collection[RecordId], *, holder: str) -> Sequence[Delivery]:
        there = [self.rows[delivery_id].record for delivery_id in delivery_ids if delivery_id in self.rows]
        claims = [await self._claim(one, holder=holder) for one in there if _is_plain(one)]
        return [claimed for claimed in claims if claimed is not None]

    async def _claim(self, delivery: Delivery, *, holder: str) -> Delivery | None:
        to_state = DeliveryState.STREAMING
        return await self.claim(delivery.id, holder=holder, from_states=DELIVERABLE, to_state=to_state)

    async def hold_names(self, leftovers: Mapping[Lease, tuple[str, ...]]) -> frozenset[RecordId]:
        holding = set()
        for lease, names in leftovers.items():
            with suppress(LeaseLost):
                if await self.hold_name(lease, self._leased(lease).record.object_name):
                    await self.renew(lease, leftovers=names)
                    holding.add(lease.record_id)
        return frozenset(holding)

    async def renew_all(self, changes: Mapping[Lease, Mapping[str, object]]) -> frozenset[RecordId]:
        for lease, own in changes.items():
            with suppress(LeaseLost):
                await self.renew(lease, **own)
        return await self.held(changes)

    async def held(self, leases: Collection[Lease]) -> frozenset[RecordId]:
        held = set()
        for lease in leases:
            with suppress(LeaseLost):
                held.add(self._leased(lease).record.id)
        return frozenset(held)

    async def finish_all(self, ended: Mapping[Lease, Mapping[str, object]], to_state: DeliveryState) -> None:
        for lease, changes in ended.items():
            with suppress(LeaseLost):
                await self.finish(lease, to_state, **changes)

    async def release_all(self, leases: Collection[Lease]) -> None:
        for lease in leases:
            with suppress(LeaseLost):
                record = self._leased(lease).record
                fewer = {name: max(0, getattr(record, name) - 1) for name in ("attempts", "fruitless_attempts")}
                await self.release(lease, DeliveryState.QUEUED, delay_seconds=0, **fewer)

    async def of_file(self, file_id: RecordId) -> Sequence[Delivery]:
        theirs = (row.record for row in self.rows.values() if row.record.file_id == file_id)
        return _listed(theirs, None)

    async def page(self, selection: Selection, *, limit: int, after: Delivery | None) -> Sequence[Delivery]:
        return _listed(selected((row.record for row in self.rows.values()), selection, after=after), limit)

    async def page_of_lost(self, *, owner: str | None, limit: int, after: Delivery | None) -> Sequence[Delivery]:
        theirs = selected((row.record for row in self.rows.values()), Selection(owner=owner), after=after)
        return _listed((delivery for delivery in theirs if delivery.object_error is not None), limit)

    async def claim_cleaning(self, delivery_id: RecordId, *, holder: str) -> Delivery | None:
        row = self.rows.get(delivery_id)
        if row is None or row.record.state not in OVER or row.next_attempt_at is None or not row.due_and_free:
            return None
        self._change(row, {name: getattr(row.record, name) + 1 for name in ("fence", "fruitless_attempts")})
        self._hold(row)
        return row.record

    def _lease_left(self, row: Row[Delivery]) -> float | None:
        return row.lease_until if row.record.final_touched else None

    def _due_now(self, row: Row[Delivery]) -> None:
        super()._due_now(row)
        record = row.record
        if record.receipt is not None:
            assert record.ended_at is not None
            assert record.object_error is not None
            former = FormerReceipt(receipt=record.receipt, ended_at=record.ended_at, object_error=record.object_error)
            history = (*record.former_receipts, former)[-FORMER_RECEIPTS_KEPT:]
            forgotten: dict[str, Any] = dict.fromkeys(("receipt", "object_error", "final_name", "checked", "replaced"))
            forgotten |= {"sent_bytes": 0, "sent_bytes_most": 0, "sent_in_attempts": (), "final_touched": False}
            record = replace(record, former_receipts=history, **forgotten)
        queue, row.queue_before = row.queue_before or record.queue, None
        row.record = replace(record, ended_at=None, cleaning_error=None, queue=queue)

    def _may(self, record: Delivery, move: Move[Any]) -> bool:
        return record.may(move)

    def _at_rest(self, row: Row[Delivery]) -> None:
        super()._at_rest(row)
        if row.record.state not in OVER:
            return
        row.record = replace(row.record, ended_at=row.record.ended_at or wall_clock())
        if row.record.leftovers:
            row.hint_at = time.monotonic() + self._sweep_seconds
            row.attempt_at(row.hint_at)
            row.queue_before = row.record.queue if row.record.queue is not Queue.MAINTENANCE else row.queue_before
            row.record = replace(row.record, queue=Queue.MAINTENANCE)
        self._once_released(row)

    def _once_released(self, row: Row[Delivery]) -> None:
        if row.record.state in OVER and row.record.final_name not in row.record.leftovers:
            row.claimed = None

    def _insert(self, new: NewDelivery, *, who: str | None) -> Delivery:
        now = wall_clock()
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
            source_path=new.source_path,
            batch_id=new.batch_id,
            state=DeliveryState.QUEUED,
            created_at=now,
            updated_at=now,
        )
        row = self.rows[new.id] = waiting_row(delivery, who=who)
        return row.record


def _code(record: Any, name: str) -> str | None:
    error = getattr(record, name, None)
    return error.code if error else None


def _listed(records: Iterable[Any], limit: int | None) -> list[Any]:
    """Return the records as lists have them, at most `limit`: without their histories."""
    return [replace(record, history=()) for record in itertools.islice(records, limit)]


def _receipts(delivery: Delivery) -> Iterator[tuple[Receipt, datetime]]:
    for former in delivery.former_receipts:
        yield former.receipt, former.ended_at
    if delivery.receipt is not None and delivery.ended_at is not None:
        yield delivery.receipt, delivery.ended_at


class MemoryAgenda:
    """A twin of `transfer.ports.hints.Agenda` over the rows of the other twins."""

    def __init__(
        self,
        files: Mapping[RecordId, Row[File]],
        deliveries: Mapping[RecordId, Row[Delivery]],
        contents: Mapping[RecordId, Row[Content]],
        checks: Mapping[RecordId, Row[Check]],
        batches: Mapping[RecordId, Row[Batch]],
        lanes: Mapping[RecordId, Row[Lane]],
        targets: Mapping[RecordId, Row[TargetRecord]],
    ) -> None:
        self._sources: tuple[tuple[Mapping[RecordId, Row[Any]], TaskName], ...] = (
            (files, TaskName.UPLOAD_FILE),
            (deliveries, TaskName.FINALIZE_FILE),
            (contents, TaskName.SWEEP_CONTENT),
            (checks, TaskName.RUN_CHECK),
            (batches, TaskName.RUN_BATCH),
            (lanes, TaskName.TAKE_DUE),
            (targets, TaskName.PROBE_TARGET),
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
                if not hinted_by_batch(row):
                    yield row, task_of(row.record, task)

    def _hinted(self, queue: Queue) -> Iterator[tuple[float, Row[Any], TaskName]]:
        for row, task in self._rows():
            if row.hinted_at is not None and queue_of(row) is queue:
                yield row.hinted_at, row, task

    def _take(self, hints: Iterable[tuple[float, Row[Any], TaskName]], limit: int) -> Sequence[Hint]:
        taken = sorted(hints, key=itemgetter(0))[:limit]
        for _, row, _ in taken:
            row.hint_at, row.hinted_at = None, time.monotonic()
        return [hint_of(row, task) for _, row, task in taken]


def task_of(record: Any, usual: TaskName) -> TaskName:
    if isinstance(record, Delivery) and record.state in OVER:
        return TaskName.CLEAN_DELIVERY
    if not isinstance(record, File) or record.state is FileState.STORED:
        return usual
    if record.state is FileState.DELETING:
        return TaskName.DELETE_FILE
    if record.state is FileState.RECEIVING:
        return TaskName.EXPIRE_UPLOAD
    new = record.state is FileState.REGISTERED and not record.attempts and record.content_id is None
    return storing_task(length=record.length, queue=record.queue) if new else usual


def hint_of(row: Row[Any], task: TaskName) -> Hint:
    hinted_id = row.record.token if isinstance(row.record, Lane) else row.record.id
    return Hint(task=task, record_id=hinted_id, queue=queue_of(row))


def _is_plain(delivery: Delivery) -> bool:
    small = delivery.length <= BUNDLED_DELIVERY_BYTES and delivery.if_exists is IfExists.FAIL
    nothing_there = not delivery.leftovers and not delivery.final_touched and delivery.checked is None
    return small and nothing_there and not delivery.fruitless_attempts


def hinted_by_batch(row: Row[Any]) -> bool:
    """Return whether no hint is owed for the record itself, because it is a member of a batch."""
    member = isinstance(row.record, File | Delivery) and row.record.batch_id is not None
    return member and queue_of(row) is not Queue.MAINTENANCE


def queue_of(row: Row[Any]) -> Queue:
    return Queue.MAINTENANCE if isinstance(row.record, Content) else row.record.queue


def _check(files: MemoryFiles, deliveries: MemoryDeliveries, agenda: MemoryAgenda) -> None:
    """Let the type checker see that the twins have the methods of their ports."""
    _: tuple[FileRegistry, StorableFiles, DeliveryRegistry, DeliverableRecords, Agenda]
    _ = (files, files, deliveries, deliveries, agenda)
