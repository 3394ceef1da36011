"""`gridhaul keys create`, `list` and `revoke`."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from gridhaul.cli.connection import connect_as, perhaps_done, record_ids_of, say
from gridhaul.cli.exits import exit_codes
from gridhaul.cli.operate import for_each
from gridhaul.cli.options import Json, JsonLines, LoginName, scopes_of, text_of, username_or_none
from gridhaul.cli.table import print_table
from gridhaul.client import Client
from gridhaul.client.records import KeyRecord, NewKeyRecord

HEADER = ("ID", "SCOPES", "CREATED", "EXPIRES", "NAME")

commands = typer.Typer(no_args_is_help=True, help="API keys, for programs and for GRIDHAUL_TOKEN.")

Account = Annotated[
    str | None,
    typer.Option(metavar="USER", callback=username_or_none, help="Somebody else's account; needs the scope admin."),
]


@commands.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", callback=text_of, help="What the key is for.")],
    scopes: Annotated[
        str | None, typer.Option(metavar="SCOPE,…", help="Fewer than you have; without it, the same.")
    ] = None,
    expires_in_days: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Without it, the key never expires.")
    ] = None,
    account: Account = None,
    username: LoginName = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, once. The rest is said on stderr."""
    wanted = None if scopes is None else scopes_of(scopes)
    with exit_codes(), connect_as(username) as client:
        with perhaps_done("The key may have been made, and nobody can use it; look with: gridhaul keys list"):
            key = client.keys.create(name, scopes=wanted, expires_in_days=expires_in_days, account=account)
        (_print_json if as_json else _print_new)(key)


@commands.command("list")
def list_keys(account: Account = None, username: LoginName = None, as_json: JsonLines = False) -> None:
    """List keys, oldest first. What they open is not shown again."""
    with exit_codes(), connect_as(username) as client:
        keys = client.keys.of(account)
        (_print_json_lines if as_json else _print_table)(keys)


@commands.command()
def revoke(
    key_ids: Annotated[list[str], typer.Argument(metavar="ID...", callback=record_ids_of, help="The ids of keys.")],
    username: LoginName = None,
) -> None:
    """Revoke keys, at once and for good."""
    with exit_codes(), connect_as(username) as client:
        for_each(key_ids, lambda key_id: _revoke(client, key_id))


def _revoke(client: Client, key_id: str) -> str:
    client.keys.revoke(key_id)
    return f"key {key_id} REVOKED"


def _print_new(key: NewKeyRecord) -> None:
    """The key alone on stdout."""
    until = f"expires {key['expires_at']}" if key["expires_at"] else "does not expire"
    say(f"key {key['key_id']} of {key['account']}: {' '.join(key['scopes']) or 'no scopes'}; {until}")
    say("It is shown this once.")
    typer.echo(key["key"])


def _print_table(keys: Sequence[KeyRecord]) -> None:
    print_table(HEADER, [_row(key) for key in keys])


def _row(key: KeyRecord) -> tuple[str, ...]:
    return key["key_id"], " ".join(key["scopes"]), key["created_at"], key["expires_at"] or "never", key["name"]


def _print_json_lines(keys: Sequence[KeyRecord]) -> None:
    """`{"key"}` on each line."""
    for key in keys:
        _print_json(key)


def _print_json(key: KeyRecord) -> None:
    """One object; escaped as ASCII, so that it is safe to look at."""
    typer.echo(json.dumps({"key": key}))
