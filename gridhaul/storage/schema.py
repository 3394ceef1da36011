"""Collections and indexes. Each service makes the ones that it relies on when it starts.

The functions that make collections and indexes raise DatabaseUnavailable, and change nothing if repeated.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import CollectionInvalid

from gridhaul.storage.connect import Database, database_errors
from gridhaul.transfer.worker_health import KEPT_SECONDS


def _keys(*names: str) -> list[tuple[str, int]]:
    """Return the keys of an index; a name that begins with `-` is descending."""
    return [(name.removeprefix("-"), DESCENDING if name.startswith("-") else ASCENDING) for name in names]


def _index(*names: str, **options: Any) -> IndexModel:
    return IndexModel(_keys(*names), **options)


def _partial_index(*names: str, **options: Any) -> IndexModel:
    """Return an index of the documents that have the last of the fields."""
    return _index(*names, partialFilterExpression={names[-1]: {"$exists": True}}, **options)


PAYLOAD_COLLECTIONS = ("inline", "fs.chunks")
# This index serves pages of an owner's files, and the sum of their lengths. `_id` comes before the fields that change,
# so no change moves a file past another file, and a sum that is read while files change state misses no file. A sum
# that is read in the order of states could miss files.
USAGE_INDEX = tuple(_keys("owner", "-_id", "length", "state"))
AUTH_INDEXES = (
    _index("username", unique=True),
    _partial_index("keys.id", unique=True),
    _partial_index("sessions.id", unique=True),
)
LEASED = (_index("hint_at", sparse=True), _partial_index("queue", "hinted_at"))
NEWEST_FIRST = ("-created_at", "-_id")
LOST: Mapping[str, Any] = {"object_error": {"$type": "object"}}  # deliveries whose object a check found lost
REGISTRY_INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "auth": AUTH_INDEXES,
    "files": (
        *LEASED,
        _index("state", "-_id"),
        _index("owner", "state", "-_id"),
        IndexModel(list(USAGE_INDEX)),
        _partial_index("owner", "idempotency_key", unique=True),
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
        _partial_index("target", "former_receipts.receipt.object_name"),
        _index("target", "folder"),
        _partial_index("claimed", unique=True),
        _partial_index("_id", "cleaning_error"),
        _index(*NEWEST_FIRST, "object_error.code", partialFilterExpression=LOST),
    ),
    "contents": LEASED,
    "checks": (*LEASED, _partial_index("open_key", unique=True)),
    "workers": (_index("seen_at", expireAfterSeconds=KEPT_SECONDS),),
}
PAYLOAD_INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "fs.chunks": (_index("files_id", "n", unique=True), _index("files_id", "n", "digest")),
    "fs.files": (_index("filename", "uploadDate"),),
}


async def make_auth_indexes(database: Database) -> None:
    """Make the indexes that accounts need."""
    await _make(database, {"auth": AUTH_INDEXES})


async def make_registry_indexes(database: Database) -> None:
    """Make the indexes that prepare, finalize, listings and the dispatcher need, and the one that ends heartbeats."""
    await _make(database, REGISTRY_INDEXES)


async def make_payload_collections(database: Database, *, block_compressor: str) -> None:
    """Make the collections of chunks and their indexes. A collection that exists keeps its block compressor.

    The index with the digest tells which chunks are stored, without a read of any chunk.
    """
    with database_errors():
        for name in PAYLOAD_COLLECTIONS:
            try:
                engine = {"wiredTiger": {"configString": f"block_compressor={block_compressor}"}}
                await database.create_collection(name, storageEngine=engine)
            except CollectionInvalid:
                continue  # the collection exists already
    await _make(database, PAYLOAD_INDEXES)


async def _make(database: Database, indexes: Mapping[str, Sequence[IndexModel]]) -> None:
    with database_errors():
        for name, models in indexes.items():
            await database[name].create_indexes(list(models))
