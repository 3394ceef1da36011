"""Expressions for one update of many records that gives each record a value of its own."""

from collections.abc import Iterable, Mapping
from typing import Any

from bson import ObjectId

from gridhaul.storage.connect import Document
from gridhaul.transfer.model import RecordId


def ids_of(ids: Iterable[RecordId]) -> Document:
    """Return the condition that matches the records with these ids."""
    return {"_id": {"$in": [*map(ObjectId, ids)]}}


def value_per_record(values: Mapping[RecordId, Any]) -> Document:
    """Return an expression for the value of the updated record's id in `values`. Values are as MongoDB stores them."""
    at: Document = {"$indexOfArray": [{"$literal": [*map(ObjectId, values)]}, "$_id"]}
    return {"$arrayElemAt": [{"$literal": [*values.values()]}, at]}
