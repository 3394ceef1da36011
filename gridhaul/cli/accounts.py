"""`gridhaul accounts`: list, show, create and change accounts, for admins."""

from typing import Annotated

import typer

from gridhaul.cli.account_view import print_accounts, print_json, print_json_lines, print_text
from gridhaul.cli.connection import connect_as, perhaps_done, say
from gridhaul.cli.exits import exit_codes
from gridhaul.cli.keys import remaining_keys_clause
from gridhaul.cli.options import (
    Json,
    JsonLines,
    LoginName,
    RevokeKeys,
    User,
    count_or_none,
    length_or_none,
    paths_of,
    scopes_of,
    texts_of,
)
from gridhaul.cli.passwords import ask_new
from gridhaul.client.records import AccountChanges

commands = typer.Typer(no_args_is_help=True, help="List, show, create and change accounts; needs the scope admin.")

Scopes = typer.Option(metavar="SCOPE,…", help="The account's scopes: any of prepare,finalize,read,delete,admin.")
Roots = Annotated[
    list[str] | None,
    typer.Option(
        "--root", metavar="DIR", callback=paths_of, help="A directory that the account may send from; repeatable."
    ),
]
AllRoots = Annotated[bool, typer.Option("--all-roots", help="The account may send from every root of the server.")]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target", metavar="NAME", callback=texts_of, help="A target that the account may send to; repeatable."
    ),
]
AllTargets = Annotated[bool, typer.Option("--all-targets", help="The account may send to every target.")]
Quota = Annotated[
    str | None,
    typer.Option(metavar="SIZE|none", help="The most bytes of all its files, such as 10GiB; none: the server's limit."),
]
MaxOpenFiles = Annotated[
    str | None,
    typer.Option(metavar="N|none", help="The most files that wait to be stored at once; none: the server's limit."),
]
Password = Annotated[
    bool | None,
    typer.Option(
        "--password/--no-password",
        help="Set a password, asked for or read from stdin; --no-password: the account has only API keys.",
    ),
]


@commands.command("list")
def list_accounts(username: LoginName = None, as_json: JsonLines = False) -> None:
    """List all accounts, sorted by name."""
    with exit_codes(), connect_as(username) as client:
        accounts = client.accounts.all()
        (print_json_lines if as_json else print_accounts)(accounts)


@commands.command()
def show(user: User, username: LoginName = None, as_json: Json = False) -> None:
    """Show one account."""
    with exit_codes(), connect_as(username) as client:
        (print_json if as_json else print_text)(client.accounts.account(user))


@commands.command()
def create(
    user: User,
    scopes: Annotated[str, Scopes],
    root: Roots = None,
    all_roots: AllRoots = False,
    target: Targets = None,
    all_targets: AllTargets = False,
    quota: Quota = None,
    max_open_files: MaxOpenFiles = None,
    password: Password = None,
    username: LoginName = None,
    as_json: Json = False,
) -> None:
    """Create an account. Without options, the account may use every root and target, and has no password."""
    values = _limits(quota, max_open_files)
    values |= _places(roots=root, all_roots=all_roots, targets=target, all_targets=all_targets)
    values["scopes"] = scopes_of(scopes)
    with exit_codes(), connect_as(username) as client:
        values |= _password(user, password)
        with perhaps_done(f"The account may have been made; look with: gridhaul accounts show {user}"):
            account = client.accounts.create(user, values)
        (print_json if as_json else print_text)(account)


@commands.command("set")
def change(
    user: User,
    scopes: Annotated[str | None, Scopes] = None,
    root: Roots = None,
    all_roots: AllRoots = False,
    target: Targets = None,
    all_targets: AllTargets = False,
    quota: Quota = None,
    max_open_files: MaxOpenFiles = None,
    password: Password = None,
    revoke_keys: RevokeKeys = False,
    disable: Annotated[
        bool | None,
        typer.Option("--disable/--enable", help="Refuse every request of the account; --enable: accept them again."),
    ] = None,
    username: LoginName = None,
    as_json: Json = False,
) -> None:
    """Change an account at once. Options that are not passed change nothing."""
    changes = _limits(quota, max_open_files)
    changes |= _places(roots=root, all_roots=all_roots, targets=target, all_targets=all_targets)
    if scopes is not None:
        changes["scopes"] = scopes_of(scopes)
    if disable is not None:
        changes["disabled"] = disable
    if revoke_keys:
        changes |= _revocation(password)
    with exit_codes(), connect_as(username) as client:
        changes |= _password(user, password)
        keys = None if password is None or revoke_keys else remaining_keys_clause(client, user)
        (print_json if as_json else print_text)(client.accounts.change(user, changes))
        if keys:
            say(f"Every login of {user} has ended; {keys}.")


def _limits(quota: str | None, max_open_files: str | None) -> AccountChanges:
    changes = AccountChanges()
    if quota is not None:
        changes["quota_bytes"] = length_or_none(quota)
    if max_open_files is not None:
        changes["max_open_files"] = count_or_none(max_open_files)
    return changes


def _places(
    *, roots: list[str] | None, all_roots: bool, targets: list[str] | None, all_targets: bool
) -> AccountChanges:
    if (roots and all_roots) or (targets and all_targets):
        raise typer.BadParameter("--root excludes --all-roots, and --target excludes --all-targets")
    changes = AccountChanges()
    if roots or all_roots:
        changes["roots"] = roots or None
    if targets or all_targets:
        changes["targets"] = targets or None
    return changes


def _password(user: str, wanted: bool | None) -> AccountChanges:
    """Return the change: a new password, no password any more, or no change. Raises SettingsError."""
    if wanted is None:
        return {}
    return {"password": ask_new(f"New password of {user}") if wanted else None}


def _revocation(password: bool | None) -> AccountChanges:
    if password is None:
        raise typer.BadParameter("--revoke-keys needs --password or --no-password")
    return {"revoke_keys": True}
