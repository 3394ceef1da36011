"""Pages of lists. Each list has an index that serves it in its order, so a page reads no record that it does not show.

Most of these indexes have the state before the order. A page of several states is merged from one scan for each state,
and a page of every state asks for all states. No field of an order ever changes. So a record that changes its state
between two pages keeps its place in the list.
"""

from collections.abc import Collection as States
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from gridhaul.storage.connect import Collection, Document
from gridhaul.storage.history import RECORDS_IN_LISTS
from gridhaul.transfer.errors import NotCombinable
from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import Delivery, File
from gridhaul.transfer.states import DeliveryState, FileState

Keys = tuple[str, ...]  # fields with their order; `-` before a field means descending

NEWEST_FIRST: Keys = ("-created_at", "-_id")
LOST: Mapping[str, Any] = {"object_error": {"$type": "object"}}  # deliveries whose object a check found lost


@dataclass(frozen=True, kw_only=True, slots=True)
class ListIndex:
    """An index that serves a list: the fields on which the list is conditioned, its order, and what counts add."""

    by: Keys
    order: Keys
    counted: Keys = ()

    @property
    def keys(self) -> Keys:
        return (*self.by, *self.order, *self.counted)


LOST_DELIVERIES = ListIndex(by=(), order=NEWEST_FIRST, counted=("object_error.code",))


@dataclass(frozen=True, kw_only=True, slots=True)
class Lists:
    """The lists of one collection, each with the index that serves it."""

    everybody: ListIndex
    owner: ListIndex
    target: ListIndex
    name: ListIndex
    batch: ListIndex
    batch_by_name: ListIndex | None = None
    states: States[str]  # every state
    name_field: str

    def index_of(self, selection: Selection) -> ListIndex:
        """Return the index that serves the list. Raises NotCombinable if none does."""
        if selection.batch_id is not None:
            index = self.batch_by_name if selection.by_name else self.batch
            if index is None or ("state" not in index.by and selection.states):
                raise NotCombinable("No index serves this list of a batch.")
            return index
        if selection.target is not None:
            return self.target
        if selection.by_name:
            return self.name
        return self.everybody if selection.owner is None else self.owner


FILE_LISTS = Lists(
    everybody=ListIndex(by=("state",), order=NEWEST_FIRST),
    owner=ListIndex(by=("owner", "state"), order=NEWEST_FIRST),
    target=ListIndex(by=("owner", "deliver_to.target", "state"), order=NEWEST_FIRST),
    name=ListIndex(by=("owner", "state"), order=("name", "-_id")),
    batch=ListIndex(by=("batch_id", "state"), order=("-_id",), counted=("length",)),
    batch_by_name=ListIndex(by=("batch_id",), order=("name",)),
    states=frozenset(FileState),
    name_field="name",
)
DELIVERY_LISTS = Lists(
    everybody=ListIndex(by=("state",), order=NEWEST_FIRST),
    owner=ListIndex(by=("owner", "state"), order=NEWEST_FIRST, counted=("length",)),
    target=ListIndex(by=("owner", "target", "state"), order=NEWEST_FIRST),
    name=ListIndex(by=("owner", "state"), order=("object_name", "-_id")),
    batch=ListIndex(by=("batch_id", "state"), order=NEWEST_FIRST, counted=("length",)),
    states=frozenset(DeliveryState),
    name_field="object_name",
)


def records_of(owner: str | None, states: States[str]) -> Document:
    """Return the condition for records of the owner, if there is one, in the states, if there are any."""
    theirs: Document = {} if owner is None else {"owner": owner}
    return theirs | ({"state": {"$in": sorted(states)}} if states else {})


def directed(keys: Keys) -> list[tuple[str, int]]:
    """Return the fields of an index with their directions, as MongoDB takes them."""
    return [(name.removeprefix("-"), -1 if name.startswith("-") else 1) for name in keys]


async def page_of(
    collection: Collection, lists: Lists, selection: Selection, *, limit: int, after: File | Delivery | None
) -> Sequence[Document]:
    """Return at most `limit` documents of the list, those that follow the record `after`."""
    index = lists.index_of(selection)
    documents = await _read(collection, index, _condition(index, lists, selection), limit=limit, after=after)
    # All members of a batch have the same owner. A condition on the owner would read a whole batch of somebody else.
    return [document for document in documents if selection.owner in (None, document["owner"])]


async def page_of_lost(
    deliveries: Collection, owner: str | None, *, limit: int, after: Delivery | None
) -> Sequence[Document]:
    """Return at most `limit` documents of deliveries whose object a check found lost, newest first, after `after`."""
    wanted: Document = {**LOST} if owner is None else {**LOST, "owner": owner}
    return await _read(deliveries, LOST_DELIVERIES, wanted, limit=limit, after=after)


def _condition(index: ListIndex, lists: Lists, selection: Selection) -> Document:
    target_field = lists.target.by[1]
    values = {
        "state": {"$in": sorted(selection.states or lists.states)},
        "owner": selection.owner,
        "batch_id": selection.batch_id and ObjectId(selection.batch_id),
        target_field: selection.target,
    }
    wanted: Document = {field: values[field] for field in index.by}
    if selection.name_prefix:
        wanted[lists.name_field] = _begins_with(selection.name_prefix)
    times = {"$gt": selection.created_after, "$lt": selection.created_before}
    if within := {bound: time for bound, time in times.items() if time is not None}:
        wanted["created_at"] = within
    return wanted


def _begins_with(prefix: str) -> Document:
    """Return the condition for text from the prefix on, up to the first text that is greater than all that begin so."""
    code_points = [ord(character) for character in prefix]
    while code_points and code_points[-1] == MOST:
        code_points.pop()
    if not code_points:
        return {"$gte": prefix}
    after = code_points[-1] + 1
    code_points[-1] = after if after not in SURROGATES else SURROGATES.stop
    return {"$gte": prefix, "$lt": "".join(map(chr, code_points))}


async def _read(
    collection: Collection, index: ListIndex, wanted: Document, *, limit: int, after: File | Delivery | None
) -> list[Document]:
    """Return at most `limit` documents that meet the condition, those that follow the record `after`."""
    found: list[Document] = []
    for part, order in _parts(index.order, after):
        left = limit - len(found)
        if left:
            some = collection.find({"$and": [wanted, part]}, RECORDS_IN_LISTS, limit=left, batch_size=left)
            found += await some.sort(directed(order)).hint(directed(index.keys)).to_list()
    return found


def _parts(order: Keys, after: File | Delivery | None) -> list[tuple[Document, Keys]]:
    """Return the conditions for the records after `after`, each of which is one range of an index, with its order.

    Thousands of records that were registered together have the same time. A page that begins among these reads the rest
    of them first, and then the records beyond: in one condition for both, each of the equals would be read again.
    """
    if after is None:
        return [({}, order)]
    (field, direction), *others = directed(order)
    older = {"_id": {"$lt": ObjectId(after.id)}}
    if field == "_id":
        return [(older, order)]
    value: Any = getattr(after, field)
    beyond: Document = {field: {"$gt" if direction > 0 else "$lt": value}}
    return [({field: value, **older}, order[1:]), (beyond, order)] if others else [(beyond, order)]


MOST = 0x10FFFF  # the greatest code point
SURROGATES = range(0xD800, 0xE000)  # code points that are no characters
