"""A twin of `gridhaul.storage.listing`: the records of a list, in its order, over plain records."""

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import TypeVar

from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import Delivery, File

R = TypeVar("R", File, Delivery)


def selected(records: Iterable[R], selection: Selection, *, after: R | None) -> Iterator[R]:
    """Yield the records of the list that follow the record `after`."""
    ordered = sorted(records, key=attrgetter("created_at", "id"), reverse=True)
    if selection.by_name:
        ordered.sort(key=_name)  # the sort is stable, so the newest is first among equal names
    first = 0 if after is None else [record.id for record in ordered].index(after.id) + 1
    return (record for record in ordered[first:] if _is_wanted(record, selection))


def _is_wanted(record: File | Delivery, selection: Selection) -> bool:
    after, before = selection.created_after, selection.created_before
    return (
        selection.owner in (None, record.owner)
        and (not selection.states or record.state in selection.states)
        and selection.batch_id in (None, record.batch_id)
        and (selection.target is None or selection.target in _targets(record))
        and _name(record).startswith(selection.name_prefix or "")
        and (after is None or after < record.created_at)
        and (before is None or record.created_at < before)
    )


def _name(record: File | Delivery) -> str:
    return record.name if isinstance(record, File) else record.object_name


def _targets(record: File | Delivery) -> set[str]:
    return {to.target for to in record.deliver_to} if isinstance(record, File) else {record.target}
