"""The commands of `gridhaul` and their options."""

import sys
from dataclasses import replace
from io import TextIOWrapper
from typing import Annotated

import typer

from gridhaul import __version__
from gridhaul.cli import (
    account,
    accounts,
    batch_commands,
    check_commands,
    keys,
    list_filters,
    listing,
    targets,
    transfer_commands,
)
from gridhaul.cli import status as lookup
from gridhaul.cli.connection import connect, say
from gridhaul.cli.events import events
from gridhaul.cli.exits import exit_codes
from gridhaul.cli.get import get
from gridhaul.cli.ids import id_of, ids_of, resolve_any, resolve_stored
from gridhaul.cli.operate import cancel_and_remove, for_each, operate, remove
from gridhaul.cli.options import Json, JsonLines
from gridhaul.cli.put import put
from gridhaul.client import Client
from gridhaul.client.filters import ListFilters
from gridhaul.transfer.states import Action, DeliveryState

STATUS_PATIENCE_SECONDS = 5.0

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
app.command()(transfer_commands.send)
app.command()(transfer_commands.deliver)
app.command()(get)
app.command()(put)
app.command()(events)
app.add_typer(batch_commands.commands)
app.add_typer(check_commands.commands)
app.add_typer(targets.commands, name="targets")
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
    list[str],
    typer.Argument(
        metavar="ID...",
        callback=ids_of,
        help="Ids of files, deliveries or batches, or endings that only one of them has.",
    ),
]


@app.command()
def status(
    record_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            callback=id_of,
            help="The id of a file, a delivery or a batch, or an ending that no other id has.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Show a file and its deliveries, one delivery, and what happened to them; or a batch."""
    with exit_codes(), connect(STATUS_PATIENCE_SECONDS, say) as client:
        lookup.show(client, resolve_any(client, [record_id])[0], as_json=as_json)


@app.command()
def ls(
    failed: Annotated[bool, typer.Option("--failed", help="Only files and deliveries that failed.")] = False,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", callback=_state, help="Only files and deliveries in this state.")
    ] = None,
    deliveries: Annotated[
        bool, typer.Option("--deliveries", help="Only deliveries, also those that went well.")
    ] = False,
    show_all: Annotated[bool, typer.Option("--all", help="Also files that are deleted.")] = False,
    batch: list_filters.Batch = None,
    target: list_filters.Target = None,
    prefix: list_filters.Prefix = None,
    owner: list_filters.Owner = None,
    order: list_filters.Ordered = None,
    limit: Annotated[int, typer.Option(min=1, help="The most files, and the most deliveries, to list.")] = 50,
    as_json: JsonLines = False,
) -> None:
    """List files that are not deleted, and deliveries that are open, failed or lost, newest first.

    With --batch, --target, --prefix or --order, lost deliveries are left out; --batch with --order name lists all files
    of the batch, and no deliveries.

    TIME is when the file was registered, or the delivery queued. Every command takes the ending of an id, of 4 digits
    or more, that no other id has. A terminal gets a table of its width; elsewhere nothing is cut, and tabs stand
    between the values.
    """
    if failed and state not in (None, "FAILED"):
        raise typer.BadParameter("--failed means --state FAILED, and excludes every other state")
    wanted = "FAILED" if failed else state
    if show_all and (deliveries or wanted is not None):
        raise typer.BadParameter("--all lists files of every state, and excludes --deliveries, --state and --failed")
    if deliveries and wanted not in (None, *DeliveryState):
        raise typer.BadParameter(f"no delivery is ever {wanted}")
    filters = list_filters.filters_of(batch=batch, target=target, prefix=prefix, owner=owner, order=order)
    if batch and filters.by_name and (deliveries or wanted is not None):
        raise typer.BadParameter("--batch with --order name lists files of every state")
    with exit_codes(), connect(STATUS_PATIENCE_SECONDS, say) as client:
        if list_filters.needs_owner(filters):
            filters = replace(filters, owner=client.accounts.own()["username"])
        found = _find(client, wanted, filters, deliveries=deliveries, show_all=show_all, limit=limit)
        (listing.print_json_lines if as_json else listing.print_text)(*found)
        if not as_json:
            listing.say_what_is_missing(*found, filters, limit=limit)


@app.command()
def cancel(record_ids: Ids) -> None:
    """Cancel files, deliveries and batches; `retry` starts them again."""
    _operate(Action.CANCEL, record_ids)


@app.command()
def pause(record_ids: Ids) -> None:
    """Pause files, deliveries and batches; `resume` continues them."""
    _operate(Action.PAUSE, record_ids)


@app.command()
def resume(record_ids: Ids) -> None:
    """Continue files, deliveries and batches that are paused."""
    _operate(Action.RESUME, record_ids)


@app.command()
def retry(record_ids: Ids) -> None:
    """Retry files and deliveries that failed or were cancelled; of a batch, what failed and nothing else."""
    _operate(Action.RETRY, record_ids)


@app.command()
def rm(
    record_ids: Annotated[
        list[str],
        typer.Argument(
            metavar="ID...", callback=ids_of, help="Ids of files or batches, or endings that only one of them has."
        ),
    ],
    cancel: Annotated[bool, typer.Option("--cancel", help="First cancel the files and their deliveries.")] = False,
) -> None:
    """Delete files and their stored bytes, or all files of a batch. Delivered objects stay at their targets."""
    with exit_codes(), connect(STATUS_PATIENCE_SECONDS, say) as client:
        delete = cancel_and_remove if cancel else remove
        for_each(resolve_stored(client, record_ids), lambda record_id: delete(client, record_id))


def _operate(action: Action, record_ids: list[str]) -> None:
    with exit_codes(), connect(STATUS_PATIENCE_SECONDS, say) as client:
        for_each(resolve_any(client, record_ids), lambda record_id: operate(client, action, record_id))


def _find(
    client: Client, state: str | None, filters: ListFilters, *, deliveries: bool, show_all: bool, limit: int
) -> listing.Listed:
    if filters.batch and filters.by_name:
        return listing.find_files(client, filters, limit=limit)
    if deliveries:
        return listing.find_deliveries(client, state, filters, limit=limit)
    if state is not None:
        return listing.find_in_state(client, state, filters, limit=limit)
    return (listing.find_with_deleted if show_all else listing.find)(client, filters, limit=limit)
