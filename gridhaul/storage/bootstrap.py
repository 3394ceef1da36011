"""The first user of a MongoDB that has none: run `python -m gridhaul.storage.bootstrap` with GRIDHAUL_MONGO_URL.

The URL names the user and the password. As long as a MongoDB has no user, a client on the same machine may make the
first user without a login.
"""

import asyncio
import sys
import time

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from gridhaul.process.settings import BootstrapSettings, SettingsError
from gridhaul.storage.connect import Document, wrong_url_named

WAIT_SECONDS = 30.0
AUTHENTICATION_FAILED = 18


async def ensure_user(url: str) -> None:
    """Wait up to 30 seconds until the server answers, and make the URL's user unless it exists.

    Raises PyMongoError, SettingsError.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            await _ensure_user(url)
        except PyMongoError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            return


async def _ensure_user(url: str) -> None:
    if not await _can_log_in(url):
        parts = parse_uri(url)
        await _create(parts["nodelist"][0], parts["username"], parts["password"])


async def _can_log_in(url: str) -> bool:
    with wrong_url_named():
        client: AsyncMongoClient[Document] = AsyncMongoClient(url, serverSelectionTimeoutMS=1000)
    async with client:
        try:
            await client.admin.command("connectionStatus")
        except OperationFailure as error:
            if error.code == AUTHENTICATION_FAILED:
                return False
            raise
        else:
            return True


async def _create(node: tuple[str, int], username: str, password: str) -> None:
    client: AsyncMongoClient[Document] = AsyncMongoClient(*node, directConnection=True, serverSelectionTimeoutMS=1000)
    async with client:
        await client.admin.command("createUser", username, pwd=password, roles=["root"])


def main() -> None:
    try:
        asyncio.run(ensure_user(BootstrapSettings().mongo_url.get_secret_value()))
    except (SettingsError, PyMongoError) as error:
        sys.exit(f"The first database user could not be made: {error}")


if __name__ == "__main__":
    main()
