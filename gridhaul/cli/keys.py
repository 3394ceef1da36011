"""`gridhaul keys`: make, list and revoke API keys."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from gridhaul.cli.connection import connect_as, perhaps_done, say
from gridhaul.cli.exits import exit_codes
from gridhaul.cli.ids import whole_ids_of
from gridhaul.cli.operate import for_each
from gridhaul.cli.options import Json, JsonLines, LoginName, scopes_of, text_of, username_or_none
from gridhaul.cli.table import print_table
from gridhaul.cli.times import shown_time
from gridhaul.client import Client, ClientError
from gridhaul.client.records import KeyRecord, NewKeyRecord

HEADER = ("ID", "SCOPES", "CREATED", "EXPIRES", "NAME")

commands = typer.Typer(
    no_args_is_help=True, help="Make, list and revoke API keys, for programs and for GRIDHAUL_TOKEN."
)

Account = Annotated[
    str | None,
    typer.Option(
        metavar="USER", callback=username_or_none, help="The account of somebody else; needs the scope admin."
    ),
]


@commands.command()
def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", callback=text_of, help="A name that says what the key is for.")
    ],
    scopes: Annotated[
        str | None, typer.Option(metavar="SCOPE,…", help="The key's scopes; without it, all scopes of the account.")
    ] = None,
    expires_in_days: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Days until the key expires. Without this option it never expires, or expires with the API key that "
            "makes it.",
        ),
    ] = None,
    account: Account = None,
    username: LoginName = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it. The key is never shown again. Everything else goes to stderr."""
    wanted = None if scopes is None else scopes_of(scopes)
    with exit_codes(), connect_as(username) as client:
        with perhaps_done("The key may have been made, but nobody has seen it; look with: gridhaul keys list"):
            key = client.keys.create(name, scopes=wanted, expires_in_days=expires_in_days, account=account)
        (_print_json if as_json else _print_new)(key)


@commands.command("list")
def list_keys(account: Account = None, username: LoginName = None, as_json: JsonLines = False) -> None:
    """List keys, oldest first. The secret part of a key is never shown again."""
    with exit_codes(), connect_as(username) as client:
        keys = client.keys.of(account)
        (_print_json_lines if as_json else _print_table)(keys)


@commands.command()
def revoke(
    key_ids: Annotated[list[str], typer.Argument(metavar="ID...", callback=whole_ids_of, help="The ids of keys.")],
    username: LoginName = None,
) -> None:
    """Revoke keys, at once and for good."""
    with exit_codes(), connect_as(username) as client:
        for_each(key_ids, lambda key_id: _revoke(client, key_id))


def remaining_keys_clause(client: Client, account: str | None) -> str:
    """Return a clause about the API keys that stay valid after a new password. `account` None: the caller's account.

    If the keys cannot be listed, the clause has no number: the password can be changed all the same.
    """
    try:
        count = len(client.keys.of(account))
    except ClientError:
        return "API keys stay (--revoke-keys revokes all)"
    if not count:
        return "the account has no API keys"
    return f"{count} API {'key stays' if count == 1 else 'keys stay'} (--revoke-keys revokes all)"


def _revoke(client: Client, key_id: str) -> str:
    client.keys.revoke(key_id)
    return f"key {key_id} REVOKED"


def _print_new(key: NewKeyRecord) -> None:
    """Print only the key on stdout, so that a script can read it."""
    until = f"expires {key['expires_at']}" if key["expires_at"] else "does not expire"
    say(f"key {key['key_id']} of {key['account']}: {' '.join(key['scopes']) or 'no scopes'}; {until}")
    say("The key is shown only this once.")
    typer.echo(key["key"])


def _print_table(keys: Sequence[KeyRecord]) -> None:
    print_table(HEADER, [_row(key) for key in keys])


def _row(key: KeyRecord) -> tuple[str, ...]:
    expires = shown_time(key["expires_at"]) if key["expires_at"] else "never"
    return key["key_id"], " ".join(key["scopes"]), shown_time(key["created_at"]), expires, key["name"]


def _print_json_lines(keys: Sequence[KeyRecord]) -> None:
    """Print one `{"key": …}` a line."""
    for key in keys:
        _print_json(key)


def _print_json(key: KeyRecord) -> None:
    """Print `{"key": …}`, escaped as ASCII, so that no text of the key's record can control the terminal."""
    typer.echo(json.dumps({"key": key}))
