"""The conversion of records to BSON documents and back. Field names stay, `id` becomes `_id`, ids become ObjectIds."""

from dataclasses import fields
from typing import Any, Generic, TypeVar, get_type_hints

from bson import ObjectId
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.bson import BsonConverter, make_converter

from gridhaul.storage.connect import Document
from gridhaul.transfer.access import Account
from gridhaul.transfer.batches import Batch
from gridhaul.transfer.checks import Check
from gridhaul.transfer.known_targets import TargetRecord
from gridhaul.transfer.lists import PathList
from gridhaul.transfer.model import (
    Content,
    Delivery,
    Destination,
    File,
    Receipt,
    RecordId,
    RemoteObject,
)
from gridhaul.transfer.origins import Origin, ServerPath, SourceIdentity, Upload

R = TypeVar("R")
INT64 = range(-(2**63), 2**63)  # the integers that BSON can hold


def new_id() -> RecordId:
    """Return a fresh id of 24 hex digits; ids ascend with time."""
    return RecordId(str(ObjectId()))


def _storable(integer: int | None) -> int | str | None:
    """Return the integer, or its decimal text if BSON's 64 bits cannot hold it; None stays None.

    Decoding turns both into an int.
    """
    return integer if integer is None or integer in INT64 else str(integer)


def _destinations(stored: Any, _: object) -> tuple[Destination, ...]:
    """Return a file's destinations. A record that is older than lists of them has one document, or null."""
    documents = stored if isinstance(stored, list) else [stored] if stored else []
    return tuple(_converter.structure(document, Destination) for document in documents)


def _origin(stored: Any, _: object) -> Origin:
    """Return a file's origin from the whole document of the file: the fields of a server path have no parent field."""
    upload = stored.get("upload")
    return _converter.structure(upload, Upload) if upload else _converter.structure(stored, ServerPath)


def _make_converter() -> BsonConverter:
    converter = make_converter()
    converter.register_unstructure_hook(RecordId, ObjectId)
    converter.register_structure_hook(RecordId, lambda value, _: RecordId(str(value)))
    converter.register_structure_hook_func(lambda wanted: wanted == tuple[Destination, ...], _destinations)
    converter.register_structure_hook_func(lambda wanted: wanted == Origin, _origin)
    # The integers of these records come from file systems and from targets, so they may be too large for BSON.
    for record_type in (SourceIdentity, RemoteObject, Receipt):
        integers: dict[str, Any] = {
            field.name: override(unstruct_hook=_storable)
            for field in fields(record_type)
            if field.type in (int, int | None)
        }
        converter.register_unstructure_hook(record_type, make_dict_unstructure_fn(record_type, converter, **integers))
    for record in (File, Content, Delivery, Check, Batch, PathList, Account, TargetRecord):
        renamed = override(rename="_id")
        converter.register_unstructure_hook(record, make_dict_unstructure_fn(record, converter, id=renamed))
        converter.register_structure_hook(record, make_dict_structure_fn(record, converter, id=renamed))
    return converter


_converter = _make_converter()


class Codec(Generic[R]):
    """The conversion of one type of record."""

    def __init__(self, record_type: type[R]) -> None:
        self._type = record_type
        self._fields = get_type_hints(record_type)

    def decode(self, document: Document) -> R:
        """Return the record of a document. Fields that only the database needs are left out."""
        return _converter.structure({**document, "origin": document}, self._type)

    def document(self, record: R) -> Document:
        """Return the document of a record."""
        return dict(_converter.unstructure(record))

    def values(self, fields: dict[str, Any]) -> Document:
        """Return fields of the record as MongoDB stores them."""
        stored: Document = {}
        for name, value in fields.items():
            stored |= _stored_origin(value) if name == "origin" else {name: self._stored(name, value)}
        return stored

    def _stored(self, name: str, value: Any) -> Any:
        return _converter.unstructure(value, unstructure_as=self._fields.get(name, type(value)))

    def literals(self, fields: dict[str, Any]) -> Document:
        """Return the same as `values` for an update pipeline, in which no string is taken for an expression."""
        return {name: {"$literal": value} for name, value in self.values(fields).items()}


def _stored_origin(origin: Origin) -> Document:
    """Return the fields of a file's document that hold its origin."""
    stored = _converter.unstructure(origin)
    return {"upload": stored} if isinstance(origin, Upload) else dict(stored)
