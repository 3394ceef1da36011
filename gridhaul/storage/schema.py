"""Collections and indexes. Making them is idempotent; each service makes those that it relies on when it starts."""

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import CollectionInvalid

from gridhaul.storage.connect import Database, database_errors

PAYLOAD_COLLECTIONS = ("inline", "fs.chunks")
AUTH_INDEXES = (
    IndexModel([("username", ASCENDING)], unique=True),
    IndexModel([("keys.id", ASCENDING)], unique=True, partialFilterExpression={"keys.id": {"$exists": True}}),
    IndexModel([("sessions.id", ASCENDING)], unique=True, partialFilterExpression={"sessions.id": {"$exists": True}}),
)
# Pages of an owner's files, and the sum of their lengths. No change of a file moves it in this order past another one:
# a sum that is read while files change states misses none, as it would in the order of states.
USAGE_INDEX = (("owner", ASCENDING), ("_id", DESCENDING), ("length", ASCENDING), ("state", ASCENDING))


async def make_auth_indexes(database: Database) -> None:
    """What accounts need."""
    with database_errors():
        await database["auth"].create_indexes(list(AUTH_INDEXES))


async def make_registry_indexes(database: Database) -> None:
    """What prepare, finalize, listings and the dispatcher need."""
    await make_auth_indexes(database)
    with database_errors():
        for name in ("files", "deliveries", "contents", "checks"):
            await database[name].create_index([("hint_at", ASCENDING)], sparse=True)
            await database[name].create_index(
                [("queue", ASCENDING), ("hinted_at", ASCENDING)],
                partialFilterExpression={"hinted_at": {"$exists": True}},
            )
        for first in (["state"], ["owner", "state"]):
            await database["files"].create_index([*((name, ASCENDING) for name in first), ("_id", DESCENDING)])
        await database["files"].create_index(list(USAGE_INDEX))
        await database["files"].create_index(
            [("owner", ASCENDING), ("idempotency_key", ASCENDING)],
            unique=True,
            partialFilterExpression={"idempotency_key": {"$exists": True}},
        )
        await database["deliveries"].create_index(
            [("file_id", ASCENDING), ("created_at", ASCENDING), ("_id", ASCENDING)]
        )
        for first in ([], ["state"], ["owner"], ["owner", "state"]):
            keys = [(name, ASCENDING) for name in first]
            await database["deliveries"].create_index([*keys, ("created_at", DESCENDING), ("_id", DESCENDING)])
        await database["files"].create_index([("content_id", ASCENDING)], sparse=True)
        await database["deliveries"].create_index([("target", ASCENDING), ("final_name", ASCENDING)])
        await database["deliveries"].create_index([("target", ASCENDING), ("folder", ASCENDING)])
        await database["checks"].create_index(
            [("open_key", ASCENDING)], unique=True, partialFilterExpression={"open_key": {"$exists": True}}
        )
        await database["deliveries"].create_index(
            [("claimed", ASCENDING)], unique=True, partialFilterExpression={"claimed": {"$exists": True}}
        )


async def make_payload_collections(database: Database, *, block_compressor: str) -> None:
    """Where the chunks go. The index with the digest answers what is held without reading a chunk."""
    with database_errors():
        for name in PAYLOAD_COLLECTIONS:
            try:
                engine = {"wiredTiger": {"configString": f"block_compressor={block_compressor}"}}
                await database.create_collection(name, storageEngine=engine)
            except CollectionInvalid:
                continue  # it is there
        chunks = database["fs.chunks"]
        await chunks.create_index([("files_id", ASCENDING), ("n", ASCENDING)], unique=True)
        await chunks.create_index([("files_id", ASCENDING), ("n", ASCENDING), ("digest", ASCENDING)])
        await database["fs.files"].create_index([("filename", ASCENDING), ("uploadDate", ASCENDING)])
