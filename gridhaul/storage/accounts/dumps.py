"""Write and restore dumps of the collection `auth`, in the form that `mongodump` gives them, in `dumps/`.

The command is `python -m gridhaul.storage.accounts.dumps write|restore`.

`write` needs no server, because the dump holds only the demo account. `restore` does for this one collection what
`mongorestore --db files dumps/files` does, without MongoDB's tools: accounts that exist already stay unchanged.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import bson
import typer
from bson import json_util
from bson.errors import BSONError
from pymongo.errors import BulkWriteError

from gridhaul.identity.passwords import Passwords
from gridhaul.process.settings import BootstrapSettings, SettingsError
from gridhaul.storage.codec import Codec, new_id
from gridhaul.storage.connect import Database, Document, connect, database_errors
from gridhaul.storage.schema import AUTH_INDEXES
from gridhaul.transfer.access import Account, Scope
from gridhaul.transfer.errors import GridhaulError

DEMO_USERNAME = "demo"
DEMO_PASSWORD = "gridhaul-demo"  # noqa: S105 - public; the api refuses the account unless GRIDHAUL_ALLOW_DEMO=1
DEMO_QUOTA_BYTES = 1 << 30
DUPLICATE_KEY = 11000
DUMPS = Path("dumps")

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__)
Directory = Annotated[Path, typer.Argument(help="The dump's directory, which holds the database's directory.")]


@app.command()
def write(directory: Directory = DUMPS) -> None:
    """Write a new dump with the demo account."""
    place = directory / "files"
    place.mkdir(parents=True, exist_ok=True)
    (place / "auth.bson").write_bytes(bson.encode(asyncio.run(_demo_account())))
    indexes = [_index({"key": {"_id": 1}, "name": "_id_"}), *(_index(one.document) for one in AUTH_INDEXES)]
    metadata = {"options": {}, "indexes": indexes, "collectionName": "auth", "type": "collection"}
    text = json_util.dumps(metadata, json_options=json_util.CANONICAL_JSON_OPTIONS)
    (place / "auth.metadata.json").write_text(text + "\n")


@app.command()
def restore(directory: Directory = DUMPS) -> None:
    """Put the accounts of a dump into the database of GRIDHAUL_MONGO_URL."""
    place = directory / "files"
    try:
        settings = BootstrapSettings()
        accounts = bson.decode_all((place / "auth.bson").read_bytes())
        metadata = json_util.loads((place / "auth.metadata.json").read_text())
        new = asyncio.run(_restore(settings, accounts, metadata["indexes"]))
    except (SettingsError, GridhaulError, OSError) as error:
        typer.echo(f"The accounts could not be restored: {error}", err=True)
        raise typer.Exit(1) from None
    except (BSONError, ValueError, KeyError):
        typer.echo(f"The accounts could not be restored: {place} holds no dump of accounts.", err=True)
        raise typer.Exit(1) from None
    skipped = "; the other accounts exist already" if new < len(accounts) else ""
    typer.echo(f"{new} of {len(accounts)} accounts restored{skipped}.")


def _index(document: Mapping[str, Any]) -> Document:
    """Return the index with its fields in the order of `listIndexes`."""
    return {"v": 2, "key": document["key"], "name": document["name"], **document}


async def _demo_account() -> Document:
    now = datetime.now(UTC)
    account = Account(
        id=new_id(),
        username=DEMO_USERNAME,
        password_hash=await Passwords().hashed(DEMO_PASSWORD),
        scopes=tuple(scope for scope in Scope if scope is not Scope.ADMIN),
        quota_bytes=DEMO_QUOTA_BYTES,
        demo=True,
        created_at=now,
        updated_at=now,
    )
    return Codec(Account).document(account)


async def _restore(settings: BootstrapSettings, accounts: Sequence[Document], indexes: Sequence[Any]) -> int:
    database = connect(settings.mongo_url.get_secret_value(), settings.database)
    async with database.client:
        with database_errors():
            await database.command("createIndexes", "auth", indexes=list(indexes))
            return await _insert_new(database, accounts)


async def _insert_new(database: Database, accounts: Sequence[Document]) -> int:
    """Insert the accounts that are new, and return their number.

    An account is not new if its id, name, or one of its keys or sessions is stored already.
    """
    try:
        return len((await database["auth"].insert_many(accounts, ordered=False)).inserted_ids)
    except BulkWriteError as error:
        if any(one["code"] != DUPLICATE_KEY for one in error.details["writeErrors"]):
            raise
        return int(error.details["nInserted"])


if __name__ == "__main__":
    app(prog_name="python -m gridhaul.storage.accounts.dumps")
