"""The selection of records that a list shows, and the counts of an account."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from gridhaul.transfer.batches import Group
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.states import DeliveryState, FileState


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The records that a list shows, and their order.

    With `name_prefix`, which may be empty, the list is sorted by name; else the list begins with the newest record. A
    list by target or by name is of one owner or, by name, of one batch. All records of a batch have the same owner.
    """

    owner: str | None = None  # None: records of every owner
    states: Collection[str] = ()  # none: records in every state
    batch_id: RecordId | None = None
    target: str | None = None
    name_prefix: str | None = None  # of a file's name, or of a delivery's object name
    created_after: datetime | None = None
    created_before: datetime | None = None

    @property
    def by_name(self) -> bool:
        return self.name_prefix is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountCounts:
    """The records of one account by type and state. A state without records is left out."""

    files: Mapping[FileState, Group]
    deliveries: Mapping[DeliveryState, Group]
    counted_at: datetime  # by the database server's clock, right before the counting began


TYPES_NAMED = 100  # media types that have a count of their own


@dataclass(frozen=True, kw_only=True, slots=True)
class TypeCounts:
    """The files of one account whose bytes are not deleted, by media type."""

    largest: Mapping[str, Group]  # the TYPES_NAMED types with the most bytes, those with the most bytes first
    others: Group  # of all other types
    counted_at: datetime  # by the database server's clock, right before the counting began
