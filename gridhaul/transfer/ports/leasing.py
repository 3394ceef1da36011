"""Records that one worker at a time works on. Leases run on the database server's clock.

A write adds an event to the record's history if it changes the state, begins an attempt, or is an operator's action.

All methods raise DatabaseUnavailable.
"""

from typing import Protocol, TypeVar

from gridhaul.transfer.errors import Patience
from gridhaul.transfer.model import Lease, RecordId
from gridhaul.transfer.states import Move

R_co = TypeVar("R_co", covariant=True)
S_contra = TypeVar("S_contra", contravariant=True)


class ReadableRecords(Protocol[R_co]):
    async def get(self, record_id: RecordId) -> R_co | None:
        """Return the record, or None."""


class HeldRecords(Protocol[S_contra]):
    """The writes of the worker that holds a lease.

    Each raises LeaseLost once the record has a newer fence or no lease.
    """

    async def renew(self, lease: Lease, **changes: object) -> None:
        """Extend the lease by its whole length, and change fields of the record."""

    async def release(self, lease: Lease, to_state: S_contra, *, delay_seconds: float, **changes: object) -> None:
        """End the lease; the record is due again after `delay_seconds`."""

    async def wait(
        self, lease: Lease, to_state: S_contra, *, patience: Patience, delay_seconds: float, **changes: object
    ) -> None:
        """Do what `release` does, and count the attempt in the record's `wait`.

        A record waits from now on if it has no `wait` of this patience, or if `wait` is None in `changes`.
        """

    async def finish(self, lease: Lease, to_state: S_contra, **changes: object) -> None:
        """End the lease; no worker has to look at the record again, and it does not wait any more."""

    async def require(self, lease: Lease) -> None:
        """Raise LeaseLost if the record is no longer held under the lease's fence. Change nothing."""


class LeasedRecords(ReadableRecords[R_co], HeldRecords[S_contra], Protocol[R_co, S_contra]):
    """Records as a worker sees them: it claims one, works under the lease, and ends it."""

    async def claim(
        self, record_id: RecordId, *, holder: str, from_states: frozenset[S_contra], to_state: S_contra
    ) -> R_co | None:
        """Take the lease and return the record; its fence and attempts grow by one.

        Return None if the record is leased, is not due yet, or is in none of `from_states`. A repeated call after a
        lost answer may find the record leased by the first call, and returns None: the lease then runs out by itself.
        """


class MovableRecords(Protocol[R_co, S_contra]):
    """Records as an operator sees them: cancelled, paused, resumed or retried, whoever works on them."""

    async def hurry(self, record_id: RecordId, *, who: str | None = None) -> R_co | None:
        """Make a record due now that waits for its next attempt, and return it; the caller sends the hint.

        Return None if no attempt is planned for later. The operator's username `who` is noted in the history.
        """

    async def move(
        self, record_id: RecordId, move: Move[S_contra], *, who: str | None = None, **changes: object
    ) -> R_co | None:
        """Make the move and return the record, or None if the record is in none of the move's states.

        The fence grows, so the next write of a worker that holds the record raises LeaseLost. The record's error and
        its fruitless attempts are cleared, and it does not wait any more. If workers wait for records in the new state,
        the record is due now and the caller sends the hint; otherwise the record is at rest. The operator's username
        `who` is noted in the history.
        """
