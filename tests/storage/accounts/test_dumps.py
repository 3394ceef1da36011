"""The files in `dumps/` are read with `bson` alone, and restored into a real mongod as `mongorestore` does."""

from pathlib import Path
from typing import Any

import bson
import pytest
from bson import json_util
from pymongo import MongoClient
from typer.testing import CliRunner

from gridhaul.embedded.programs import PROJECT
from gridhaul.identity.passwords import Passwords
from gridhaul.storage.accounts import dumps
from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.accounts.dumps import DEMO_PASSWORD
from gridhaul.storage.connect import connect
from gridhaul.storage.schema import make_auth_indexes
from gridhaul.transfer.access import Scope
from tests.servers import mongo_dump
from tests.servers.mongod import mongod

DUMP = PROJECT / "dumps" / "files"


def test_dump_holds_the_demo_account_alone_and_it_is_no_admin() -> None:
    (account,) = bson.decode_all((DUMP / "auth.bson").read_bytes())
    assert (account["username"], account["demo"], account["disabled"]) == ("demo", True, False)
    assert account["scopes"] == [scope.value for scope in Scope if scope is not Scope.ADMIN]
    assert account["password_hash"].startswith("$argon2id$")
    assert account["keys"] == account["sessions"] == []


def test_metadata_is_of_mongodumps_form() -> None:
    metadata = json_util.loads((DUMP / "auth.metadata.json").read_text())
    assert (metadata["collectionName"], metadata["options"], metadata["type"]) == ("auth", {}, "collection")
    assert [index["name"] for index in metadata["indexes"]] == ["_id_", "username_1", "keys.id_1", "sessions.id_1"]


async def test_restored_account_and_indexes_are_those_that_the_api_uses(tmp_path: Path) -> None:
    with mongod(tmp_path) as url:
        mongo_dump.restore(url, "files", DUMP.parent)
        database = connect(url, "files")
        async with database.client:
            restored = _indexes(url)
            await make_auth_indexes(database)
            assert _indexes(url) == restored
            account = await MongoAccounts(database).named("demo")
            assert account is not None
            assert await Passwords().match(DEMO_PASSWORD, account.password_hash)


def _indexes(url: str) -> Any:
    client: MongoClient[Any] = MongoClient(url)
    with client:
        return client["files"]["auth"].index_information()


@pytest.mark.parametrize(
    ("name", "damaged"), [("auth.bson", b"\x09"), ("auth.metadata.json", b"{"), ("auth.metadata.json", b"{}")]
)
def test_damaged_dump_is_refused_in_one_line(tmp_path: Path, mongo_url: str, name: str, damaged: bytes) -> None:
    assert CliRunner().invoke(dumps.app, ["write", str(tmp_path)]).exit_code == 0
    (tmp_path / "files" / name).write_bytes(damaged)
    run = CliRunner().invoke(dumps.app, ["restore", str(tmp_path)], env={"GRIDHAUL_MONGO_URL": mongo_url})
    assert (run.exit_code, run.stderr.count("\n")) == (1, 1)
