"""One update of many records that gives each a value of its own."""

from collections.abc import Iterable, Mapping
from typing import Any

from bson import ObjectId

from gridhaul.storage.connect import Document
from gridhaul.transfer.model import RecordId


def ids_of(ids: Iterable[RecordId]) -> Document:
    """The condition that it is one of the records."""
    return {"_id": {"$in": [*map(ObjectId, ids)]}}


def value_per_record(values: Mapping[RecordId, Any]) -> Document:
    """The value that is beside the record's id, as an expression. Values are as they are stored."""
    at: Document = {"$indexOfArray": [{"$literal": [*map(ObjectId, values)]}, "$_id"]}
    return {"$arrayElemAt": [{"$literal": [*values.values()]}, at]}
