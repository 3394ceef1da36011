"""Errors of MongoDB that pass by themselves, so that the work waits, and errors that are mistakes of ours."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient, common
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    CursorNotFound,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ProtocolError,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from gridhaul.storage.connect import PASSING_CODES, Database, connect, database_errors
from gridhaul.storage.content.contents import MongoContents
from gridhaul.storage.content.gridfs_layout import GridFSLayout
from gridhaul.storage.content.intake import MongoIntake
from gridhaul.storage.files import MongoFiles
from gridhaul.transfer.errors import DatabaseUnavailable
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.states import STORABLE, FileState
from tests.contracts.bytes_to_store import MIB, read, sealed, some_bytes
from tests.contracts.ports import new_file

UNAUTHORIZED = 13
CONTENT = RecordId("0" * 24)
NOT_PRIMARY_CODES = {91, 189, 10058, 10107, 11600, 11602, 13435, 13436}  # the driver raises NotPrimaryError for these
ANSWERED_CODES = sorted(PASSING_CODES - NOT_PRIMARY_CODES)
NOT_CONFIRMED_CODES = [64, 100]


@pytest.fixture(scope="module")
async def connecting_at_once(mongo_url: str) -> AsyncIterator[Database]:
    """Yield a database, whose client connects again at once after the server has closed a connection.

    Without these settings PyMongo waits for half a second each time. One client serves all tests, because PyMongo may
    leave a socket unclosed when a client is closed while it connects.
    """
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(common, "MIN_HEARTBEAT_INTERVAL", 0.01)
        found = connect(f"{mongo_url}{'&' if '?' in mongo_url else '/?'}serverMonitoringMode=poll", "unused")
        yield found
        await found.client.admin.command("ping")
        await found.client.close()


@pytest.fixture
def reconnecting(database: Database, connecting_at_once: Database) -> Database:
    """Return the test's database, through the client that connects again at once."""
    same = connecting_at_once
    return same.client.get_database(
        database.name, same.codec_options, write_concern=same.write_concern, read_concern=same.read_concern
    )


@contextmanager
def answering(url: str, *commands: str, mode: object = "alwaysOn", **failure: Any) -> Iterator[None]:
    """Make the server answer these commands with the failure: every time, or as `mode` says."""
    client: MongoClient[dict[str, Any]] = MongoClient(url)
    with client:
        switch = client.admin.command
        switch("configureFailPoint", "failCommand", mode=mode, data={"failCommands": commands, **failure})
        try:
            yield
        finally:
            switch("configureFailPoint", "failCommand", mode="off")


async def test_read_that_is_interrupted_is_no_answer(database: Database, mongo_url: str) -> None:
    contents = MongoContents(database)
    for code in ANSWERED_CODES:
        with answering(mongo_url, "find", errorCode=code), pytest.raises(DatabaseUnavailable):
            await contents.get(CONTENT)


@pytest.mark.parametrize("few_readers", [False, True])
@pytest.mark.parametrize("mode", ["alwaysOn", {"skip": 2}])
@pytest.mark.parametrize("failure", [{"errorCode": 43}, {"errorCode": 11601}, {"closeConnection": True}])
async def test_cursor_that_is_lost_is_followed_by_another(
    reconnecting: Database, mongo_url: str, failure: dict[str, Any], mode: object, few_readers: bool
) -> None:
    """Each chunk is read once, however the cursors are lost."""
    data = some_bytes(23 * MIB + 5)
    contents = MongoContents(reconnecting, few_readers=few_readers)
    content = await sealed(contents, MongoIntake(reconnecting, inline_limit_chunks=0), data)
    with answering(mongo_url, "getMore", mode=mode, **failure):
        assert await read(contents, content) == data
    with answering(mongo_url, "find", errorCode=11601), pytest.raises(DatabaseUnavailable):
        await read(contents, content)


async def test_chunks_are_not_acknowledged_when_their_insert_is_interrupted(database: Database, mongo_url: str) -> None:
    for code in ANSWERED_CODES:
        with answering(mongo_url, "insert", errorCode=code), pytest.raises(DatabaseUnavailable), database_errors():
            await insert_chunks(database)


async def test_chunks_are_not_acknowledged_before_the_majority_has_them(database: Database, mongo_url: str) -> None:
    for code in NOT_CONFIRMED_CODES:
        failure = {"writeConcernError": {"code": code, "errmsg": "not confirmed"}}
        with answering(mongo_url, "insert", **failure), pytest.raises(DatabaseUnavailable), database_errors():
            await insert_chunks(database)


async def test_cut_connection_is_no_answer(reconnecting: Database, mongo_url: str) -> None:
    with answering(mongo_url, "find", closeConnection=True), pytest.raises(DatabaseUnavailable):
        await MongoContents(reconnecting).get(CONTENT)


async def test_claim_that_is_confirmed_late_is_found(database: Database, mongo_url: str) -> None:
    files = MongoFiles(database, lease_seconds=60)
    for code in NOT_CONFIRMED_CODES:
        file, _ = await files.register(new_file())
        with answering(mongo_url, "findAndModify", writeConcernError={"code": code, "errmsg": "not confirmed"}):
            claimed = await files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
        assert claimed is not None, code
        assert claimed.fence == 1


async def test_what_is_refused_for_good_is_no_waiting_matter(database: Database, mongo_url: str) -> None:
    with answering(mongo_url, "find", errorCode=UNAUTHORIZED), pytest.raises(OperationFailure):
        await MongoContents(database).get(CONTENT)
    with pytest.raises(BulkWriteError), database_errors():
        await database["fs.chunks"].insert_many([{"_id": ObjectId(CONTENT)}, {"_id": ObjectId(CONTENT)}])


async def insert_chunks(database: Database) -> None:
    await GridFSLayout(database).insert(CONTENT, 0, [b"a", b"b"], [b"A" * 32, b"B" * 32])


def write_errors(*codes: int) -> BulkWriteError:
    failures = [{"index": n, "code": code, "errmsg": ""} for n, code in enumerate(codes)]
    return BulkWriteError({"writeErrors": failures, "writeConcernErrors": []})


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (AutoReconnect(), True),
        (NetworkTimeout(), True),
        (NotPrimaryError(), True),
        (ProtocolError(), True),
        (ServerSelectionTimeoutError(), True),
        (WaitQueueTimeoutError(), True),
        (CursorNotFound("", 43), True),
        (ExecutionTimeout("", 50), True),
        (WTimeoutError("", 64), True),
        (WriteConcernError("", 100), True),
        *((write_errors(code), True) for code in sorted(PASSING_CODES)),
        (write_errors(11000, 11602), True),
        (write_errors(11000), False),
        (write_errors(11000, 10334), False),
        (OperationFailure("", UNAUTHORIZED), False),
        (OperationFailure(""), False),
    ],
    ids=str,
)
def test_error_of_the_driver(error: PyMongoError, *, passes: bool) -> None:
    with pytest.raises(DatabaseUnavailable if passes else type(error)), database_errors():
        raise error
