"""Prints accounts as lines of text, as a table, and as JSON."""

import json
from collections.abc import Sequence

import typer

from gridhaul.cli.table import print_table
from gridhaul.cli.text import safe, size
from gridhaul.client.records import AccountRecord

HEADER = ("USERNAME", "STATE", "USED", "QUOTA", "SCOPES")
SERVER_LIMIT = "the server's limit"


def print_text(account: AccountRecord) -> None:
    lines = [
        f"account {account['username']} {_state(account)}",
        f"  scopes    {_scopes(account)}",
        f"  roots     {_list(account['roots'])}",
        f"  targets   {_list(account['targets'])}",
        f"  quota     {_quota(account)}, {size(account['used_bytes'])} used",
        f"  open      {_open_files(account)}",
        f"  password  {'yes' if account['has_password'] else 'no, only keys'}",
        f"  updated   {account['updated_at']}",
    ]
    typer.echo("\n".join(safe(line) for line in lines))


def print_accounts(accounts: Sequence[AccountRecord]) -> None:
    print_table(HEADER, [_row(account) for account in accounts])


def print_json(account: AccountRecord) -> None:
    """Print `{"account": …}`, escaped as ASCII, so that no text of the account can control the terminal."""
    typer.echo(json.dumps({"account": account}))


def print_json_lines(accounts: Sequence[AccountRecord]) -> None:
    """Print one `{"account": …}` a line."""
    for account in accounts:
        print_json(account)


def _row(account: AccountRecord) -> tuple[str, ...]:
    used = size(account["used_bytes"])
    return account["username"], _state(account), used, _quota(account), _scopes(account)


def _state(account: AccountRecord) -> str:
    return "DISABLED" if account["disabled"] else "ENABLED"


def _scopes(account: AccountRecord) -> str:
    return " ".join(account["scopes"]) or "none"


def _list(values: Sequence[str] | None) -> str:
    return "all" if values is None else ", ".join(values) or "none"


def _quota(account: AccountRecord) -> str:
    return SERVER_LIMIT if account["quota_bytes"] is None else size(account["quota_bytes"])


def _open_files(account: AccountRecord) -> str:
    limit = account["max_open_files"]
    return SERVER_LIMIT if limit is None else f"at most {limit} files at once"
