"""Accounts in the collection `auth`. A document holds keys and sessions too, so a request needs only one read."""

from collections.abc import Sequence
from typing import Any, Literal, cast

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from gridhaul.storage.coalescer import Coalescer
from gridhaul.storage.codec import Codec, new_id
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import NOW, after
from gridhaul.transfer.access import Account, ApiKey, NewAccount, Session
from gridhaul.transfer.errors import AccountExists, GridhaulError, StateConflict, TooManyKeys
from gridhaul.transfer.model import RecordId

KEYS_MOST = 100
SESSIONS_MOST = 50  # a new session beyond this number ends the oldest
GRACE_SECONDS = 30.0  # how long a refresh token is still accepted after its successor was presented
TAKEN = "There is an account of this name already."
BARE: Document = {"keys": 0, "sessions": 0}
NEW_GENERATION: Document = {"sessions": [], "generation": {"$add": ["$generation", 1]}}


@maps_database_errors
class MongoAccounts:
    """The port `transfer.ports.accounts.Accounts` on MongoDB.

    A username is unique. No other account ever gets it, because no account is ever removed.
    """

    def __init__(self, database: Database, *, grace_seconds: float = GRACE_SECONDS) -> None:
        self._collection = database["auth"]
        self._grace_began = after(-grace_seconds)
        self._codec = Codec(Account)
        self._reads = Coalescer(self._read)

    async def create(self, new: NewAccount) -> Account:
        # Look before the write: MongoDB would log a write that fails, with the password's hash.
        if await self.named(new.username) is not None:
            raise AccountExists(TAKEN)
        values = {name: getattr(new, name) for name in NewAccount.__dataclass_fields__}
        values |= {"used_bytes": 0, "generation": 0, "keys": (), "sessions": ()}
        try:
            document = await self._collection.find_one_and_update(
                {"_id": ObjectId(new_id())},
                [{"$set": {**self._codec.literals(values), "created_at": NOW, "updated_at": NOW}}],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            raise AccountExists(TAKEN) from None
        return self._codec.decode(cast("Document", document))  # an upsert always returns a document

    async def named(self, username: str) -> Account | None:
        """Share one read with concurrent calls for the name.

        The read begins after the calls, so it sees every revocation that was acknowledged before them.
        """
        return await self._reads.ask(("username", username), None)

    async def with_key(self, key_id: RecordId) -> Account | None:
        """Share one read with concurrent calls for the key, as `named` does."""
        return await self._reads.ask(("key", key_id), None)

    async def with_session(self, session_id: RecordId) -> Account | None:
        wanted = {"$match": {"sessions.id": ObjectId(session_id)}}
        this_one = {"$filter": {"input": "$sessions", "cond": {"$eq": ["$$this.id", ObjectId(session_id)]}}}
        in_grace = {"$gt": ["$$this.renewed_at", self._grace_began]}
        former = {"former_digest": {"$cond": [in_grace, "$$this.former_digest", None]}}
        seen = {"$map": {"input": this_one, "in": {"$mergeObjects": ["$$this", former]}}}
        pipeline: list[Document] = [wanted, {"$set": {"sessions": seen}}, {"$unset": "keys"}]
        async for document in await self._collection.aggregate(pipeline):
            return self._codec.decode(document)
        return None

    async def page(self, *, limit: int, after: str | None) -> Sequence[Account]:
        wanted = {} if after is None else {"username": {"$gt": after}}
        cursor = self._collection.find(wanted, BARE).sort("username", 1).limit(limit)
        return [self._codec.decode(document) async for document in cursor]

    async def change(self, username: str, changes: dict[str, Any]) -> Account | None:
        ended: Document = {"sessions": []} if changes.get("disabled") else {}
        return await self._update(username, changes, ended)

    async def set_password(self, username: str, password_hash: str | None) -> Account | None:
        """Change the password, and raise the generation: access tokens of an older generation are refused."""
        return await self._update(username, {"password_hash": password_hash}, NEW_GENERATION)

    async def set_password_and_revoke_keys(self, username: str, password_hash: str | None) -> Account | None:
        return await self._update(username, {"password_hash": password_hash}, {**NEW_GENERATION, "keys": []})

    async def rehash(self, account: Account, password_hash: str) -> None:
        same = {"username": account.username, "password_hash": account.password_hash}
        await self._collection.update_one(same, {"$set": {"password_hash": password_hash}})

    async def keys(self, username: str) -> Sequence[ApiKey]:
        document = await self._collection.find_one({"username": username}, {"sessions": 0})
        return self._codec.decode(document).keys if document else ()

    async def add_key(self, account: Account, key: ApiKey) -> None:
        same = {"username": account.username, "generation": account.generation}
        room = {"keys.id": {"$ne": ObjectId(key.id)}, f"keys.{KEYS_MOST - 1}": {"$exists": False}}
        (value,) = self._codec.values({"keys": (key,)})["keys"]
        added = await self._collection.update_one(same | room, {"$push": {"keys": value}})
        if not added.matched_count and await self.with_key(key.id) is None:
            raise await self._refusal_of_key(account)

    async def replace_key(self, account: Account, key: ApiKey) -> None:
        """Add the key, and remove the account's keys of the same name."""
        (value,) = self._codec.values({"keys": (key,)})["keys"]
        others = {"$filter": {"input": "$keys", "cond": {"$ne": ["$$this.name", {"$literal": key.name}]}}}
        replaced = [{"$set": {"keys": {"$concatArrays": [others, [{"$literal": value}]]}}}]
        await self._collection.update_one({"username": account.username}, replaced)

    async def revoke_key(self, key_id: RecordId, *, of: str | None) -> Account | None:
        wanted: Document = {"keys.id": ObjectId(key_id)} | ({"username": of} if of else {})
        pulled = {"$pull": {"keys": {"id": ObjectId(key_id)}}}
        return self._decoded(await self._collection.find_one_and_update(wanted, pulled, projection=BARE))

    async def begin_session(self, account: Account, session: Session) -> bool:
        (value,) = self._codec.values({"sessions": (session,)})["sessions"]
        newest = {"$push": {"sessions": {"$each": [value], "$slice": -SESSIONS_MOST}}}
        same = {"username": account.username, "generation": account.generation, "disabled": False}
        begun = await self._collection.update_one(same, newest)
        return begun.matched_count == 1

    async def renew_session(self, session_id: RecordId, *, presented: str, following: str) -> bool:
        this_one = {"id": ObjectId(session_id)}
        renewed = await self._collection.update_one(
            {"sessions": {"$elemMatch": this_one | {"digest": presented}}},
            [{"$set": {"sessions": _renewed(ObjectId(session_id), presented=presented, following=following)}}],
        )
        if renewed.matched_count:
            return True
        pairs = (
            {"digest": following, "previous_digest": presented},
            {"previous_digest": following, "former_digest": presented},
        )
        done_before = {"$or": [{"sessions": {"$elemMatch": this_one | pair}} for pair in pairs]}
        return await self._collection.find_one(done_before, {"_id": 1}) is not None

    async def end_session(self, session_id: RecordId) -> None:
        wanted = {"sessions.id": ObjectId(session_id)}
        await self._collection.update_one(wanted, {"$pull": {"sessions": {"id": ObjectId(session_id)}}})

    async def _read(self, key: tuple[Literal["username", "key"], str], calls: Sequence[None]) -> list[Account | None]:
        kind, value = key
        if kind == "key":
            this_one: Document = {"keys": {"$elemMatch": {"id": ObjectId(value)}}, "sessions": 0}
            found = await self._collection.find_one({"keys.id": ObjectId(value)}, this_one)
        else:
            found = await self._collection.find_one({"username": value}, BARE)
        return [self._decoded(found)] * len(calls)

    async def _refusal_of_key(self, account: Account) -> GridhaulError:
        now = await self.named(account.username)
        if now is None or now.generation != account.generation:
            return StateConflict("The account got another password just now, so no key was made; try again.")
        return TooManyKeys(f"An account has at most {KEYS_MOST} keys; revoke some.")

    async def _update(self, username: str, values: dict[str, Any], expressions: Document) -> Account | None:
        document = await self._collection.find_one_and_update(
            {"username": username},
            [{"$set": {**self._codec.literals(values), "updated_at": NOW, **expressions}}],
            projection=BARE,
            return_document=ReturnDocument.AFTER,
        )
        return self._decoded(document)

    def _decoded(self, document: Document | None) -> Account | None:
        return self._codec.decode(document) if document else None


def _renewed(session_id: ObjectId, *, presented: str, following: str) -> Document:
    """Return the expression for the sessions, of which one has its next refresh token."""
    this_one = {"$eq": ["$$this.id", session_id]}
    renewal = {
        "digest": {"$literal": following},
        "previous_digest": {"$literal": presented},
        "former_digest": "$$this.previous_digest",
        "renewed_at": NOW,
    }
    renewed = {"$mergeObjects": ["$$this", renewal]}
    return {"$map": {"input": "$sessions", "in": {"$cond": [this_one, renewed, "$$this"]}}}
