"""Hints, and the records that are due for one: the ways in which work reaches the workers."""

from collections.abc import Sequence
from typing import Protocol

from gridhaul.transfer.model import Hint, Queue


class Agenda(Protocol):
    """The hints that must be sent, over all registries: a lease has ended, or the time of a next attempt has come.

    All methods raise DatabaseUnavailable.
    """

    async def due(self, limit: int) -> Sequence[Hint]:
        """Return at most `limit` hints that must be sent now, the one that has waited longest first.

        Each hint is returned once. Not idempotent: hints in a lost answer are found by `overlooked`.
        """

    async def unanswered(self, queue: Queue, limit: int) -> int:
        """Return how many records of the queue were hinted and not claimed since, counted up to `limit`."""

    async def overlooked(self, queue: Queue, limit: int, *, seconds: float) -> Sequence[Hint]:
        """Return hints for the unanswered records hinted longest ago, at least `seconds` ago.

        They count as hinted now.
        """


class WaitingOwners(Protocol):
    async def next(self, queue: Queue, *, after: str, instead_of: str) -> tuple[str, Sequence[Hint]] | None:
        """Return an owner for whom something waits in the queue, and what a child can do for that owner in one turn.

        It is the first such owner after `after` in the order of names, from the beginning again after the last name,
        except `instead_of`. The turn is the work that was hinted longest ago: one hint, or several of one bundle.
        Return None if nobody else waits. Raises DatabaseUnavailable.
        """


class Hints(Protocol):
    def offer(self, hint: Hint) -> None:
        """Send the hint soon, or drop it. Never waits and never raises: losing a hint loses nothing."""


class QueueDepths(Protocol):
    async def depths(self) -> dict[Queue, int]:
        """Return how many messages wait in each queue that the broker can read. Raises BrokerUnavailable."""


class DispatcherLease(Protocol):
    """The right to dispatch, which one api process has at a time. Both methods raise DatabaseUnavailable."""

    async def hold(self) -> bool:
        """Take or keep the lease. Return False while another process has it."""

    async def give_up(self) -> None:
        """Let another process take the lease at once."""
