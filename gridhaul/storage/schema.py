"""Collections and indexes. Each service makes the ones that it relies on when it starts.

The functions that make collections and indexes raise DatabaseUnavailable, and change nothing if repeated.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import IndexModel
from pymongo.errors import CollectionInvalid, OperationFailure

from gridhaul.storage.connect import Database, database_errors
from gridhaul.storage.listing import DELIVERY_LISTS, FILE_LISTS, LOST, LOST_DELIVERIES, NEWEST_FIRST, Lists, directed
from gridhaul.transfer.states import UNFINISHED, DeliveryState
from gridhaul.transfer.target_activity import STOPPED
from gridhaul.transfer.worker_health import KEPT_SECONDS


def _index(*names: str, **options: Any) -> IndexModel:
    """Return an index of these fields; a name that begins with `-` is descending."""
    return IndexModel(directed(names), **options)


def _partial_index(*names: str, **options: Any) -> IndexModel:
    """Return an index of the documents that have the last of the fields."""
    return _index_of_those_with((names[-1],), *names, **options)


def _index_of_those_with(needed: Sequence[str], *names: str, **options: Any) -> IndexModel:
    """Return an index of the documents that have all the fields `needed`."""
    return _index(*names, partialFilterExpression={name: {"$exists": True} for name in needed}, **options)


def _lists_of(lists: Lists) -> tuple[IndexModel, ...]:
    """Return the indexes that serve the lists. A record has no entry in the index of a list that never shows it."""
    everywhere = (_index(*list_index.keys) for list_index in (lists.everybody, lists.owner, lists.name))
    return (
        *everywhere,
        _index_of_those_with(("batch_id",), *lists.batch.keys),
        _index_of_those_with((lists.target.by[1],), *lists.target.keys),
    )


INDEX_NOT_FOUND = 27  # code of an error of MongoDB
PAYLOAD_COLLECTIONS = ("inline", "fs.chunks")
# This index serves the sum of the lengths of an owner's files. `_id` comes before the fields that change, so no change
# moves a file past another file, and a sum that is read while files change state misses no file. A sum that is read in
# the order of states could miss files. Counts by media type are read from the index, too.
USAGE_INDEX = tuple(directed(("owner", "-_id", "length", "state", "content_type")))
# The names of indexes that a database may still have from an older version, and that no query uses any more.
FORMER_INDEXES: Mapping[str, Sequence[str]] = {"files": ("owner_1__id_-1_length_1_state_1",)}
AUTH_INDEXES = (
    _index("username", unique=True),
    _partial_index("keys.id", unique=True),
    _partial_index("sessions.id", unique=True),
)
LEASED = (_index("hint_at", sparse=True), _partial_index("queue", "hinted_at"))
OPEN_FILES: Mapping[str, Any] = {"state": {"$in": sorted(UNFINISHED)}}
DELIVERED: Mapping[str, Any] = {"state": DeliveryState.DELIVERED.value}
# A delivery has an entry in this index only while it has an error. So a look for the last error at a target reads none
# of the many deliveries that wait for their first attempt.
STOPPED_WITH_ERROR: Mapping[str, Any] = {"state": {"$in": sorted(STOPPED)}, "error": {"$type": "object"}}
STOPPED_AT_TARGET = ("owner", "target", *NEWEST_FIRST)
WAITING_OWNERS = _partial_index("queue", "owner", "hinted_at")
EXPIRING = _index("expires_at", expireAfterSeconds=0)  # removes a document once its time has come
DUE_MEMBERS = _index_of_those_with(("batch_id", "next_attempt_at"), "batch_id", "queue", "next_attempt_at")
CHECKS_OF_KIND = ("kind", "-_id")
CHECKS_OF_FILE = ("file_id", "-_id")
SKIPPED_BY_REASON = ("batch_id", "reason")
# For clients that are told of changes: the indexes hold all that a reader asks for. A record that is older than the
# field `changed_at` has no entry.
CHANGES = ("changed_at", "_id", "revision")
CHANGES_OF_OWNER = ("owner", *CHANGES)
CHANGED = tuple(_index_of_those_with(("changed_at",), *keys) for keys in (CHANGES, CHANGES_OF_OWNER))
REGISTRY_INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "auth": AUTH_INDEXES,
    "files": (
        *LEASED,
        *CHANGED,
        *_lists_of(FILE_LISTS),
        IndexModel(list(USAGE_INDEX)),
        _partial_index("owner", "idempotency_key", unique=True),
        _index("content_id", sparse=True),
        _index_of_those_with(("batch_id",), "batch_id", "path", unique=True),
        _index_of_those_with(("batch_id",), "batch_id", "name", unique=True),
        DUE_MEMBERS,
        WAITING_OWNERS,
        _index("owner", "in_batch", "state", partialFilterExpression=OPEN_FILES),
    ),
    "deliveries": (
        *LEASED,
        *CHANGED,
        _index("file_id", "created_at", "_id"),
        *_lists_of(DELIVERY_LISTS),
        _index("target", "final_name"),
        _partial_index("target", "former_receipts.receipt.object_name"),
        _index("target", "folder"),
        _partial_index("claimed", unique=True),
        _partial_index("_id", "cleaning_error"),
        _partial_index("stage.upload_id"),
        _index(*LOST_DELIVERIES.keys, partialFilterExpression=LOST),
        DUE_MEMBERS,
        WAITING_OWNERS,
        _index("owner", "target", "source_path", partialFilterExpression=DELIVERED),
        _index(*STOPPED_AT_TARGET, partialFilterExpression=STOPPED_WITH_ERROR),
    ),
    "contents": LEASED,
    "checks": (
        *LEASED,
        _partial_index("open_key", unique=True),
        _index(*CHECKS_OF_KIND),
        _index_of_those_with(("file_id",), *CHECKS_OF_FILE),
        _index_of_those_with(("findings.content_id",), "findings.content_id", "-_id"),
    ),
    "batches": (
        *LEASED,
        *CHANGED,
        _index("state", "-_id"),
        _index("owner", "state", "-_id"),
        _index("owner", "-_id"),
        _partial_index("owner", "idempotency_key", unique=True),
        _partial_index("list_id"),
    ),
    "lanes": (
        *LEASED,
        _index("batch_id", "queue", unique=True),
        _index("token", unique=True),
        WAITING_OWNERS,
    ),
    "skipped": (_index("batch_id", "path", unique=True), _index(*SKIPPED_BY_REASON)),
    "planned_names": (_index("batch_id", "name", unique=True),),
    "lists": (_index("owner", "-_id"), _partial_index("owner", "expires_at"), EXPIRING),
    "list_pages": (_index("list_id", "number", unique=True), EXPIRING),
    "targets": LEASED,
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
    """Make the indexes that prepare, finalize, listings and the dispatcher need, and the one that ends heartbeats.

    Indexes that these replaced are removed afterwards.
    """
    await _make(database, REGISTRY_INDEXES)
    await _remove(database, FORMER_INDEXES)


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


async def _remove(database: Database, indexes: Mapping[str, Sequence[str]]) -> None:
    with database_errors():
        for collection, names in indexes.items():
            for name in names:
                try:
                    await database[collection].drop_index(name)
                except OperationFailure as error:
                    if error.code != INDEX_NOT_FOUND:
                        raise
