"""Give an account all scopes and an API key: `python -m api.admin NAME`.

The account is made or enabled if necessary, and keeps a password that it has. Use this command for the first account,
and when all keys and passwords are lost. The command needs GRIDHAUL_MONGO_URL, but no running api.
"""

import asyncio
import re
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from api.account_schemas import USERNAME
from gridhaul.identity.passwords import Passwords, check_password
from gridhaul.process.settings import BootstrapSettings, SettingsError
from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.connect import connect
from gridhaul.storage.schema import make_auth_indexes
from gridhaul.transfer.access import Account, ApiKey, NewAccount, Scope
from gridhaul.transfer.credentials import Credential, CredentialKind
from gridhaul.transfer.errors import AccountExists, Forbidden, GridhaulError, InvalidValue

EVERYTHING = tuple(Scope)

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def admin(
    username: Annotated[str, typer.Argument(metavar="NAME", help="The account; it is made if it does not exist.")],
    key_file: Annotated[
        Path | None,
        typer.Option(
            help="A file that holds the API key to give; a key that the file held before stops working. "
            "Without this option a new key is made and printed."
        ),
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="A file that holds the password to give, if the account has none.")
    ] = None,
) -> None:
    try:
        credential = _read(key_file) if key_file else Credential.new(CredentialKind.API_KEY)
        name = f"{socket.gethostname()}:{key_file.resolve()}" if key_file else "python -m api.admin"
        key = ApiKey(
            id=credential.id, name=name, digest=credential.digest, scopes=EVERYTHING, created_at=datetime.now(UTC)
        )
        password = check_password(password_file.read_text().strip()) if password_file else None
        asyncio.run(_give_access(username, key, password, BootstrapSettings(), replaces=key_file is not None))
    except (SettingsError, GridhaulError, OSError) as error:
        typer.echo(f"The account could not be made: {error}", err=True)
        raise typer.Exit(1) from None
    if key_file is None:
        typer.echo(credential.text)


def _read(key_file: Path) -> Credential:
    credential = Credential.parse(key_file.read_text().strip(), CredentialKind.API_KEY)
    if credential is None:
        raise SettingsError(f"{key_file} holds no API key")
    return credential


async def _make_admin(accounts: MongoAccounts, username: str) -> Account:
    """Make the account with all scopes, or give an existing account all scopes and enable it. Return the account.

    Raises InvalidValue for a bad name, and Forbidden for the demo account, because its password is public.
    """
    if not re.fullmatch(USERNAME, username):
        raise InvalidValue("a name has up to 64 characters of a-z 0-9 . _ - and begins with a letter or a digit")
    try:
        return await accounts.create(NewAccount(username=username, scopes=EVERYTHING))
    except AccountExists:
        account = await accounts.named(username)
        if account is None:
            raise
        if account.demo:
            raise Forbidden("everybody knows the password of the demo account; take another name") from None
        await accounts.change(username, {"scopes": EVERYTHING, "disabled": False})
        if set(account.scopes) != set(EVERYTHING):
            typer.echo(f"{username} has all scopes now; before: {' '.join(account.scopes) or 'none'}.", err=True)
        return account


async def _give_access(
    username: str, key: ApiKey, password: str | None, settings: BootstrapSettings, *, replaces: bool
) -> None:
    database = connect(settings.mongo_url.get_secret_value(), settings.database)
    async with database.client:
        await make_auth_indexes(database)
        accounts = MongoAccounts(database)
        account = await _make_admin(accounts, username)
        if password is not None and account.password_hash is None:
            account = await accounts.set_password(username, await Passwords().hashed(password)) or account
        await (accounts.replace_key if replaces else accounts.add_key)(account, key)


if __name__ == "__main__":
    app(prog_name="python -m api.admin")
