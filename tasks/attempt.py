"""One attempt at one record: the lease is kept while the work runs, and its end is written down."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import structlog

from gridhaul.transfer.errors import (
    DatabaseUnavailable,
    GridhaulError,
    InternalError,
    LeaseLost,
    StopRequested,
    WorkerLost,
)
from gridhaul.transfer.model import Failure, Lease, RecordId
from gridhaul.transfer.ports import LeasedRecords
from gridhaul.transfer.retry import TryAgain, decide

TICK_SECONDS = 0.25
PROGRESS_SECONDS = 0.5

log = structlog.get_logger(__name__)


class Claimed(Protocol):
    """What a claimed record of any kind has."""

    @property
    def id(self) -> RecordId: ...
    @property
    def lease(self) -> Lease: ...
    @property
    def fruitless_attempts(self) -> int: ...


R = TypeVar("R", bound=Claimed)
S = TypeVar("S")


class Meter:
    """How far an attempt came, in bytes, and how fast. `fields` turns that into fields of the record."""

    def __init__(self, furthest_before: int, fields: "Callable[[Meter], dict[str, Any]]") -> None:
        self._furthest_before = furthest_before
        self._fields = fields
        self._started = time.monotonic()
        self._moved = 0
        self.position = 0

    def skip(self, length_bytes: int) -> None:
        """What was done by an earlier attempt."""
        self.position += length_bytes

    def add(self, length_bytes: int) -> None:
        """What was stored or sent now."""
        self.position += length_bytes
        self._moved += length_bytes

    @property
    def furthest(self) -> int:
        return max(self.position, self._furthest_before)

    @property
    def rate(self) -> float | None:
        """Bytes a second in this attempt, None before the first."""
        return self._moved / max(time.monotonic() - self._started, 1e-3) if self._moved else None

    def changes(self) -> dict[str, Any]:
        """The record's fields as they are now; progress makes an attempt a fruitful one."""
        fruitful = {"fruitless_attempts": 0} if self.position > self._furthest_before else {}
        return {**self._fields(self), "rate": self.rate, **fruitful}


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempts(Generic[S]):
    """How attempts at one kind of record run."""

    records: LeasedRecords[Claimed, S]
    waiting: S
    failed: S
    stopping: Callable[[], bool]
    renew_seconds: float
    lease_seconds: float
    max_attempts: int

    async def run(self, record: Claimed, work: Coroutine[Any, Any, None], meter: Meter) -> None:
        """Run the work, which finishes the record itself when it succeeds."""
        bound = log.bind(record_id=record.id, fence=record.lease.fence)
        try:
            if record.fruitless_attempts > self.max_attempts:  # the last one never came back to say why
                work.close()
                raise WorkerLost("Its worker was lost again and again, with nothing done in between.")
            await self._while_leased(record.lease, work, meter)
            bound.info("attempt_done")
        except LeaseLost as lost:
            bound.warning("lease_lost", reason=str(lost))
        except StopRequested:
            bound.info("stopped")
            changes = {"fruitless_attempts": record.fruitless_attempts - 1, **meter.changes()}
            await self._end(self.records.release(record.lease, self.waiting, delay_seconds=0, **changes))
        except GridhaulError as error:
            bound.warning("attempt_failed", code=error.code, cause=repr(error.__cause__))
            await self._end(self._settle(record, error, meter))
        except Exception:
            bound.exception("attempt_broke")
            unexpected = InternalError("Something went wrong in the worker; its log knows more.")
            await self._end(self._settle(record, unexpected, meter))

    async def _settle(self, record: Claimed, error: GridhaulError, meter: Meter) -> None:
        changes = meter.changes()
        fruitless = changes.get("fruitless_attempts", record.fruitless_attempts)
        changes["error"] = Failure(code=error.code, detail=error.detail)
        decision = decide(error, fruitless_attempts=fruitless, max_attempts=self.max_attempts)
        if not isinstance(decision, TryAgain):
            await self.records.finish(record.lease, self.failed, **changes)
            return
        if not error.counts:
            changes["fruitless_attempts"] = max(0, fruitless - 1)
        await self.records.release(record.lease, self.waiting, delay_seconds=decision.delay_seconds, **changes)

    async def _end(self, writing: Coroutine[Any, Any, None]) -> None:
        """Write the end of an attempt. If that fails the lease runs out by itself."""
        try:
            await writing
        except (LeaseLost, GridhaulError) as error:
            log.warning("end_not_written", reason=str(error))

    async def _while_leased(self, lease: Lease, work: Coroutine[Any, Any, None], meter: Meter) -> None:
        """Run the work; renew meanwhile. Cancels it when the lease is lost or the worker is asked to stop."""
        task = asyncio.create_task(work)
        try:
            await self._watch(lease, task, meter)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        task.result()

    async def _watch(self, lease: Lease, task: asyncio.Task[None], meter: Meter) -> None:
        written: dict[str, Any] = {}
        renewed_at = time.monotonic()
        while not (await asyncio.wait([task], timeout=TICK_SECONDS))[0]:
            if self.stopping():
                raise StopRequested
            since = time.monotonic() - renewed_at
            moved = meter.position != written.get("position")
            if since < (min(PROGRESS_SECONDS, self.renew_seconds) if moved else self.renew_seconds):
                continue
            try:
                position = meter.position
                async with asyncio.timeout(self.renew_seconds):
                    await self.records.renew(lease, **meter.changes())
                written, renewed_at = {"position": position}, time.monotonic()
            except LeaseLost:
                if task.done():  # it has finished its record meanwhile
                    return
                raise
            except (DatabaseUnavailable, TimeoutError):
                if since >= self.lease_seconds:
                    raise LeaseLost("the database did not answer for as long as the lease") from None
