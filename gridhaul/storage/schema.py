"""Collections and indexes. Making them is idempotent; each service makes those that it relies on when it starts."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import CollectionInvalid

from gridhaul.storage.connect import Database, database_errors


def _keys(*names: str) -> list[tuple[str, int]]:
    """`-name` is descending."""
    return [(name.removeprefix("-"), DESCENDING if name.startswith("-") else ASCENDING) for name in names]


def _index(*names: str, **options: Any) -> IndexModel:
    return IndexModel(_keys(*names), **options)


def _where_there(*names: str, **options: Any) -> IndexModel:
    """Of the documents that have the last of the fields."""
    return _index(*names, partialFilterExpression={names[-1]: {"$exists": True}}, **options)


PAYLOAD_COLLECTIONS = ("inline", "fs.chunks")
# Pages of an owner's files, and the sum of their lengths. No change of a file moves it in this order past another one:
# a sum that is read while files change states misses none, as it would in the order of states.
USAGE_INDEX = tuple(_keys("owner", "-_id", "length", "state"))
AUTH_INDEXES = (
    _index("username", unique=True),
    _where_there("keys.id", unique=True),
    _where_there("sessions.id", unique=True),
)
LEASED = (_index("hint_at", sparse=True), _where_there("queue", "hinted_at"))
NEWEST_FIRST = ("-created_at", "-_id")
REGISTRY_INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "auth": AUTH_INDEXES,
    "files": (
        *LEASED,
        _index("state", "-_id"),
        _index("owner", "state", "-_id"),
        IndexModel(list(USAGE_INDEX)),
        _where_there("owner", "idempotency_key", unique=True),
        _index("content_id", sparse=True),
    ),
    "deliveries": (
        *LEASED,
        _index("file_id", "created_at", "_id"),
        _index(*NEWEST_FIRST),
        _index("state", *NEWEST_FIRST),
        _index("owner", *NEWEST_FIRST),
        _index("owner", "state", *NEWEST_FIRST),
        _index("target", "final_name"),
        _index("target", "folder"),
        _where_there("claimed", unique=True),
    ),
    "contents": LEASED,
    "checks": (*LEASED, _where_there("open_key", unique=True)),
}
PAYLOAD_INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "fs.chunks": (_index("files_id", "n", unique=True), _index("files_id", "n", "digest")),
    "fs.files": (_index("filename", "uploadDate"),),
}


async def make_auth_indexes(database: Database) -> None:
    """What accounts need."""
    await _make(database, {"auth": AUTH_INDEXES})


async def make_registry_indexes(database: Database) -> None:
    """What prepare, finalize, listings and the dispatcher need."""
    await _make(database, REGISTRY_INDEXES)


async def make_payload_collections(database: Database, *, block_compressor: str) -> None:
    """Where the chunks go. The index with the digest answers what is held without reading a chunk."""
    with database_errors():
        for name in PAYLOAD_COLLECTIONS:
            try:
                engine = {"wiredTiger": {"configString": f"block_compressor={block_compressor}"}}
                await database.create_collection(name, storageEngine=engine)
            except CollectionInvalid:
                continue  # it is there
    await _make(database, PAYLOAD_INDEXES)


async def _make(database: Database, indexes: Mapping[str, Sequence[IndexModel]]) -> None:
    with database_errors():
        for name, models in indexes.items():
            await database[name].create_indexes(list(models))
