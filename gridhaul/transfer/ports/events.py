"""The changes of files, deliveries and batches, as the api tells clients of them. Times are the database server's.

All methods raise DatabaseUnavailable.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gridhaul.transfer.changes import Change, Kind, Position, Record
from gridhaul.transfer.model import RecordId


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a file is that is being received or stored, or a delivery that is being made."""

    kind: Kind
    record_id: RecordId
    moved_bytes: int  # it grows with each byte that is stored, sent, or checked


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Records in the order of the positions of their last changes. Records that cannot be read are left out."""

    records: Sequence[Record]
    next_after: Position | None  # the next page begins after it; None: this is the last page


class RecentChanges(Protocol):
    """The reads of a process for all its listeners. `owners` are the accounts to read of; None: all of them."""

    async def horizon(self) -> datetime:
        """Return a time. Later reads show every change that was made `changes.OVERLAP` before it."""

    async def since(self, after: Position, *, owners: Collection[str] | None, limit: int) -> Sequence[Change]:
        """Return the first `limit` changes after the position, in the order of positions."""

    async def read(self, ids: Mapping[Kind, Collection[RecordId]]) -> Sequence[Record]:
        """Return the records as they are now, in any order, without their history; not those that cannot be read."""

    async def progress(self, *, owners: Collection[str] | None, limit: int) -> Sequence[Progress]:
        """Return the progress of at most `limit` records of each kind that are worked on, the newest first."""


class Replays(Protocol):
    """The reads for one client that comes back."""

    async def begin(self) -> datetime:
        """Return the horizon, as `RecentChanges` does, once reads show every write that was ever acknowledged."""

    async def page(self, after: Position, *, owner: str | None, limit: int) -> Page:
        """Return the first `limit` records that changed last after the position, without their history.

        `owner` None stands for every account.
        """
