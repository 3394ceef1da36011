"""The commands of `gridhaul` and their options."""

import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated

import typer

from gridhaul import __version__
from gridhaul.cli import account, accounts, checks, keys, listing
from gridhaul.cli import status as lookup
from gridhaul.cli.connection import connect, record_id_of, record_ids_of, say
from gridhaul.cli.display import display
from gridhaul.cli.exits import Exit, exit_codes, leave
from gridhaul.cli.operate import cancel_and_remove, for_each, operate, remove
from gridhaul.cli.options import Json, JsonLines, path_of, text_of, text_or_none
from gridhaul.cli.send import Interrupted, follow, leave_unless_delivered, print_delivered, print_json, print_registered
from gridhaul.client import Order, Transfer
from gridhaul.transfer.model import IfChanged, IfExists
from gridhaul.transfer.states import Action

SEND_PATIENCE_SECONDS = 30.0
STATUS_PATIENCE_SECONDS = 5.0

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
app.add_typer(checks.commands)
app.add_typer(keys.commands, name="keys")
app.add_typer(account.commands, name="account")
app.add_typer(accounts.commands, name="accounts")


def main() -> None:
    """Run the command `gridhaul`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the terminal's encoding may lack a name's characters
    app(prog_name="gridhaul")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gridhaul {__version__}")
        raise typer.Exit


@app.callback()
def gridhaul(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Move large files and prove that they arrived.

    GRIDHAUL_URL is the address of the api (http://127.0.0.1:8000 if not set). GRIDHAUL_TOKEN, or a file named by
    GRIDHAUL_TOKEN_FILE, holds an API key. To make a key with a password: gridhaul keys create NAME --username USER.
    GRIDHAUL_PASSWORD, or a file named by GRIDHAUL_PASSWORD_FILE, holds the password; without it, the command asks.
    GRIDHAUL_CA_FILE names a PEM file of further certificate authorities to trust for https.
    """


def _state(value: str | None) -> str | None:
    if value is not None and value.upper() not in listing.STATES:
        raise typer.BadParameter(f"the states are {', '.join(listing.STATES)}")
    return value and value.upper()


Ids = Annotated[
    list[str], typer.Argument(metavar="ID...", callback=record_ids_of, help="The ids of files or of deliveries.")
]


@app.command()
def send(
    file: Annotated[str, typer.Argument(metavar="FILE", callback=path_of, help="The path of the file on the server.")],
    target: Annotated[str, typer.Option("--to", metavar="TARGET", callback=text_of, help="The name of the target.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", callback=text_or_none, help="The name at the target.")
    ] = None,
    if_exists: Annotated[IfExists, typer.Option(help="What to do if NAME exists at the target.")] = IfExists.FAIL,
    if_changed: Annotated[
        IfChanged, typer.Option(help="What to do if FILE changes before all of it is stored.")
    ] = IfChanged.FAIL,
    wait: Annotated[bool, typer.Option(help="Follow the transfer until it is over.")] = True,
    as_json: Json = False,
    poll_seconds: Annotated[float, typer.Option(hidden=True, min=0.0)] = 0.3,
) -> None:
    """Send FILE to TARGET and wait until the file is delivered."""
    order = Order(path=file, target=target, object_name=name, if_exists=if_exists, if_changed=if_changed)
    with exit_codes():
        if wait:
            _send_and_wait(order, print_json if as_json else print_delivered, poll_seconds)
        else:
            _register(order, print_json if as_json else print_registered)


@app.command()
def status(
    record_id: Annotated[
        str, typer.Argument(metavar="ID", callback=record_id_of, help="The id of a file or of a delivery.")
    ],
    as_json: Json = False,
) -> None:
    """Show a file and its deliveries, or one delivery."""
    with exit_codes(), connect(STATUS_PATIENCE_SECONDS, say) as client:
        found = lookup.find(client, record_id)
        (lookup.print_json if as_json else lookup.print_text)(*found)


@app.command()
def ls(
    failed: Annotated[bool, typer.Option("--failed", help="Only files and deliveries that failed.")] = False,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", callback=_state, help="Only files and deliveries in this state.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most files, and the most deliveries, to list.")] = 50,
    as_json: JsonLines = False,
) -> None:
    """List files, and the deliveries that failed, newest first."""
    if failed and state not in (None, "FAILED"):
        raise typer.BadParameter("--failed means --state FAILED, and excludes every other state")
    wanted = "FAILED" if failed else state
    with exit_codes(), connect(STATUS_PATIENCE_SECONDS, say) as client:
        if wanted is None:
            found = listing.find(client, limit=limit)
        else:
            found = listing.find_in_state(client, wanted, limit=limit)
        (listing.print_json_lines if as_json else listing.print_text)(*found)


@app.command()
def cancel(record_ids: Ids) -> None:
    """Cancel files and deliveries; `retry` starts them again."""
    _operate(Action.CANCEL, record_ids)


@app.command()
def pause(record_ids: Ids) -> None:
    """Pause files and deliveries; `resume` continues them."""
    _operate(Action.PAUSE, record_ids)


@app.command()
def resume(record_ids: Ids) -> None:
    """Continue files and deliveries that are paused."""
    _operate(Action.RESUME, record_ids)


@app.command()
def retry(record_ids: Ids) -> None:
    """Retry files and deliveries that failed or were cancelled."""
    _operate(Action.RETRY, record_ids)


@app.command()
def rm(
    file_ids: Annotated[list[str], typer.Argument(metavar="ID...", callback=record_ids_of, help="The ids of files.")],
    cancel: Annotated[bool, typer.Option("--cancel", help="First cancel the files and their deliveries.")] = False,
) -> None:
    """Delete files and their stored bytes. Delivered objects stay at their targets."""
    with exit_codes(), connect(STATUS_PATIENCE_SECONDS, say) as client:
        delete = cancel_and_remove if cancel else remove
        for_each(file_ids, lambda file_id: delete(client, file_id))


def _operate(action: Action, record_ids: list[str]) -> None:
    with exit_codes(), connect(STATUS_PATIENCE_SECONDS, say) as client:
        for_each(record_ids, lambda record_id: operate(client, action, record_id))


def _send_and_wait(order: Order, show_end: Callable[[Transfer], None], poll_seconds: float) -> None:
    try:
        with display() as shown, connect(SEND_PATIENCE_SECONDS, shown.note) as client:
            transfer = follow(client, client.prepare(order), order.target, shown, poll_seconds=poll_seconds)
    except Interrupted as interrupted:
        leave(Exit.INTERRUPTED, f"Interrupted. {interrupted}")
    show_end(transfer)
    leave_unless_delivered(transfer)


def _register(order: Order, show_end: Callable[[Transfer], None]) -> None:
    with connect(SEND_PATIENCE_SECONDS, say) as client:
        show_end(Transfer(file=client.prepare(order), delivery=None))
