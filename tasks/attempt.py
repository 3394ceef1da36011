"""One attempt at one record: the lease is renewed while the work runs, and the end of the attempt is written."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
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
from gridhaul.transfer.model import Failure, Lease, RecordId, Wait
from gridhaul.transfer.ports.leasing import HeldRecords
from gridhaul.transfer.retry import Limits, Tried, TryAgain, decide

TICK_SECONDS = 0.25  # how soon a worker notices that it is to stop
PROGRESS_SECONDS = 0.5
# Fields of a record whose attempt has made progress.
AFTER_PROGRESS: Mapping[str, Any] = {"fruitless_attempts": 0, "wait": None}
LEASE_LOOK_SECONDS = 1.0  # how soon a worker knows that its record was paused, cancelled or taken
END_RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Claimed(Protocol):
    """The fields that an attempt needs of a claimed record."""

    @property
    def id(self) -> RecordId: ...
    @property
    def lease(self) -> Lease: ...
    @property
    def updated_at(self) -> datetime: ...
    @property
    def fruitless_attempts(self) -> int: ...
    @property
    def wait(self) -> Wait | None: ...


R = TypeVar("R", bound=Claimed)
S = TypeVar("S")


class Meter:
    """The position of an attempt in bytes, and its rate. `fields` turns a meter into fields of the record."""

    def __init__(self, furthest_before: int, fields: "Callable[[Meter], dict[str, Any]]") -> None:
        self._furthest_before = furthest_before
        self._fields = fields
        self._started = time.monotonic()
        self._moved = 0
        self.position = 0
        self.checked = 0  # bytes of the source that were read again, or of the target's object that were read back

    def skip(self, length_bytes: int) -> None:
        """Count bytes that an earlier attempt has stored."""
        self.position += length_bytes

    def add(self, length_bytes: int) -> None:
        """Count bytes that this attempt has stored, sent or compared."""
        self.position += length_bytes
        self._moved += length_bytes

    def step(self) -> None:
        """Count progress that is not measured in bytes."""
        self.position += 1

    def start_over(self, fields: dict[str, Any]) -> None:
        """Set the position back to 0. From now on `changes` returns these fields of the record."""
        self._furthest_before = self.position = 0
        self._fields = lambda _: fields

    @property
    def furthest(self) -> int:
        return max(self.position, self._furthest_before)

    @property
    def rate(self) -> float | None:
        """Return the rate of this attempt in bytes a second; None before its first byte."""
        return self._moved / max(time.monotonic() - self._started, 1e-3) if self._moved else None

    @property
    def moved(self) -> int:
        """Return the bytes that this attempt has stored, sent or compared."""
        return self._moved

    def changes(self) -> dict[str, Any]:
        """Return the record's fields as they are now. An attempt that came further than all before is not fruitless."""
        fruitful = AFTER_PROGRESS if self.position > self._furthest_before else {}
        return {**self._fields(self), "rate": self.rate, **fruitful}


class Tenure:
    """The time for which a lease certainly still holds, by this process's monotonic clock.

    The clock goes on while the process is stopped (SIGSTOP).
    """

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self.began_at = self.renewed_at = time.monotonic()

    @property
    def seconds_left(self) -> float:
        return self.renewed_at + self._lease_seconds - time.monotonic()

    def check(self) -> None:
        """Raise LeaseLost if another worker may have the lease. Callers check before they touch anything remote."""
        if self.seconds_left <= 0:
            raise LeaseLost("the lease was not renewed in time")


Work = Callable[[Tenure], Coroutine[Any, Any, None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempts(Generic[S]):
    """The rules by which attempts at one kind of record run."""

    records: HeldRecords[S]
    waiting: S
    failed: S
    stopping: Callable[[], bool]
    renew_seconds: float
    lease_seconds: float
    limits: Limits

    async def run(self, record: Claimed, work: Work, meter: Meter) -> None:
        """Run the work on a record that was claimed just now.

        The work finishes the record itself when it succeeds. If it fails, the record is released or finished here.
        """
        bound = log.bind(record_id=record.id, fence=record.lease.fence)
        tenure = Tenure(self.lease_seconds)
        try:
            # An attempt whose worker lives to write its end gives up at `limits.attempts`. Only attempts whose worker
            # died raise the count above that.
            if record.fruitless_attempts > self.limits.attempts:
                raise WorkerLost("The worker was lost again and again, with nothing done in between.")
            await self._while_leased(record.lease, work(tenure), tenure, meter)
            bound.info("attempt_done")
        except LeaseLost as lost:
            bound.warning("lease_lost", reason=str(lost))
        except StopRequested:
            bound.info("stopped")
            changes = {"fruitless_attempts": record.fruitless_attempts - 1, **meter.changes()}
            await self._end(
                lambda: self.records.release(record.lease, self.waiting, delay_seconds=0, **changes), tenure
            )
        except GridhaulError as error:
            bound.warning("attempt_failed", code=error.code, cause=repr(error.__cause__))
            await self._settle(record, error, meter, tenure)
        except Exception:
            bound.exception("attempt_broke")
            unexpected = InternalError("Something went wrong in the worker; the worker's log tells more.")
            await self._settle(record, unexpected, meter, tenure)

    async def _settle(self, record: Claimed, error: GridhaulError, meter: Meter, tenure: Tenure) -> None:
        changes = meter.changes()
        tried = _tried(record, error, changes, time.monotonic() - tenure.began_at)
        changes |= self._error_fields(error)
        decision = decide(error, tried, self.limits)
        if not isinstance(decision, TryAgain):
            await self._end(lambda: self._give_up(record.lease, changes), tenure)
            return
        delay = decision.delay_seconds
        if decision.waits:
            changes["fruitless_attempts"] = max(0, tried.fruitless - 1)
            give_back = partial(self.records.wait, patience=error.patience)
        else:
            changes["wait"] = None
            give_back = partial(self.records.release)
        await self._end(lambda: give_back(record.lease, self.waiting, delay_seconds=delay, **changes), tenure)

    async def _give_up(self, lease: Lease, changes: Mapping[str, Any]) -> None:
        """Write the end of the last attempt."""
        await self.records.finish(lease, self.failed, **changes)

    def _error_fields(self, error: GridhaulError) -> dict[str, Any]:
        """Return the record's fields that tell why the attempt failed."""
        return {"error": Failure(code=error.code, detail=error.detail)}

    async def _end(self, write: Callable[[], Coroutine[Any, Any, None]], tenure: Tenure) -> None:
        """Write the end of an attempt. Repeat until the database answers, the lease has ended, or the worker stops."""
        while True:
            try:
                await write()
            except DatabaseUnavailable as error:
                if tenure.seconds_left <= 0 or self.stopping():
                    log.warning("end_not_written", reason=str(error))
                    return
                await asyncio.sleep(END_RETRY_SECONDS)
            except LeaseLost as lost:
                log.warning("end_not_written", reason=str(lost))
                return
            else:
                return

    async def _while_leased(self, lease: Lease, work: Coroutine[Any, Any, None], tenure: Tenure, meter: Meter) -> None:
        """Run the work, and renew the lease meanwhile. Raises what the work raises.

        Cancel the work and raise LeaseLost or StopRequested if the lease is lost or the worker is asked to stop.
        """
        task = asyncio.create_task(work)
        try:
            await self._watch(lease, task, tenure, meter)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        task.result()

    async def _watch(self, lease: Lease, task: asyncio.Task[None], tenure: Tenure, meter: Meter) -> None:
        written, looked_at = 0, time.monotonic()
        while not (await asyncio.wait([task], timeout=TICK_SECONDS))[0]:
            if self.stopping():
                raise StopRequested
            tenure.check()
            position, asked_at = meter.position + meter.checked, time.monotonic()
            pace = min(PROGRESS_SECONDS, self.renew_seconds) if position != written else self.renew_seconds
            renewing = asked_at - tenure.renewed_at >= pace
            if not renewing and asked_at - looked_at < LEASE_LOOK_SECONDS:
                continue
            looked_at = asked_at
            try:
                async with asyncio.timeout(min(self.renew_seconds, tenure.seconds_left)):
                    await (self.records.renew(lease, **meter.changes()) if renewing else self.records.require(lease))
            except LeaseLost:
                if task.done():  # the work itself has just ended the lease
                    return
                raise
            except (DatabaseUnavailable, TimeoutError):
                continue
            if renewing:
                written, tenure.renewed_at = position, asked_at


def _tried(record: Claimed, error: GridhaulError, changes: Mapping[str, Any], seconds: float) -> Tried:
    """Return the attempts at the record so far, after one of `seconds` that ended with `error` and these changes.

    The claim set `updated_at` by the clock of the database's server, as `wait.since` was set.
    """
    fruitless: int = changes.get("fruitless_attempts", record.fruitless_attempts)
    wait: Wait | None = changes.get("wait", record.wait)
    if wait is None or wait.patience is not error.patience:
        return Tried(fruitless=fruitless, waiting=1, waited_seconds=0.0)
    waited_seconds = (record.updated_at - wait.since).total_seconds() + seconds
    return Tried(fruitless=fruitless, waiting=wait.attempts + 1, waited_seconds=waited_seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chores(Attempts[S]):
    """Attempts to clean up after a record that is over. The error that the record ended with stays beside theirs."""

    def _error_fields(self, error: GridhaulError) -> dict[str, Any]:
        return {"cleaning_error": Failure(code=error.code, detail=error.detail)}
