"""`gridhaul account`: show the caller's own account, or change its password."""

import typer

from gridhaul.cli.account_view import print_json, print_text
from gridhaul.cli.connection import (
    ACCOUNT_PATIENCE_SECONDS,
    connect,
    connect_as,
    log_in,
    password_of,
    perhaps_done,
    say,
)
from gridhaul.cli.exits import exit_codes
from gridhaul.cli.keys import remaining_keys_clause
from gridhaul.cli.options import Json, LoginName, RevokeKeys
from gridhaul.cli.passwords import ask_new

commands = typer.Typer(invoke_without_command=True)


@commands.callback()
def account(context: typer.Context, username: LoginName = None, as_json: Json = False) -> None:
    """Show your own account, or change its password."""
    if context.invoked_subcommand:
        if username or as_json:
            raise typer.BadParameter(f"put the options after `{context.invoked_subcommand}`")
        return
    with exit_codes(), connect_as(username) as client:
        (print_json if as_json else print_text)(client.accounts.own())


@commands.command()
def password(username: LoginName = None, revoke_keys: RevokeKeys = False) -> None:
    """Change your password: asks for the current password, then for the new one. Every login ends.

    API keys stay valid, unless you pass --revoke-keys.
    """
    with exit_codes():
        current = password_of(username or "your account")
        with log_in(username, current) if username else connect(ACCOUNT_PATIENCE_SECONDS, say) as client:
            new = ask_new("New password")
            # Count the keys before the change, because the change ends this login.
            keys = "all API keys are revoked" if revoke_keys else remaining_keys_clause(client, None)
            with perhaps_done("The password may have been changed; try the new password first."):
                client.accounts.change_own_password(current, new, revoke_keys=revoke_keys)
        say(f"The password is changed. Every login has ended; {keys}.")
