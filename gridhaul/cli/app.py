"""The commands and their options."""

import os
import re
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated

import typer

from gridhaul import __version__
from gridhaul.cli import status as looking
from gridhaul.cli.display import display
from gridhaul.cli.exits import Exit, exit_codes, leave
from gridhaul.cli.send import Interrupted, follow, leave_unless_delivered, print_delivered, print_json, print_registered
from gridhaul.cli.text import safe
from gridhaul.client import Client, Order, Transfer
from gridhaul.settings import CommandSettings, SettingsError
from gridhaul.transfer.model import IfExists

SEND_PATIENCE_SECONDS = 30.0
STATUS_PATIENCE_SECONDS = 5.0

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


def main() -> None:
    """The entry point of `gridhaul`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding lacks
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
    GRIDHAUL_TOKEN_FILE, gives the access.
    """


def _absolute(file: str) -> str:
    try:
        file.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("the name of the file is not valid Unicode") from None
    return os.path.abspath(file)  # noqa: PTH100 - Path.absolute keeps `..`, Path.resolve follows links


def _record_id(value: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{24}", value):
        raise typer.BadParameter("an id has 24 hex digits")
    return value.lower()


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def send(
    file: Annotated[str, typer.Argument(metavar="FILE", callback=_absolute, help="The file, on the server.")],
    target: Annotated[str, typer.Option("--to", metavar="TARGET", help="The name of the target.")],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The name at the target.")] = None,
    if_exists: Annotated[IfExists, typer.Option(help="What to do if NAME exists there.")] = IfExists.FAIL,
    wait: Annotated[bool, typer.Option(help="Follow the transfer until it is over.")] = True,
    as_json: Json = False,
    poll_seconds: Annotated[float, typer.Option(hidden=True, min=0.0)] = 0.3,
) -> None:
    """Send FILE to TARGET and wait until it is there."""
    order = Order(path=file, target=target, object_name=name, if_exists=if_exists)
    with exit_codes():
        if wait:
            _send_and_wait(order, print_json if as_json else print_delivered, poll_seconds)
        else:
            _register(order, print_json if as_json else print_registered)


@app.command()
def status(
    record_id: Annotated[
        str, typer.Argument(metavar="ID", callback=_record_id, help="The id of a file or of a delivery.")
    ],
    as_json: Json = False,
) -> None:
    """Show a file and its deliveries, or one delivery."""
    with exit_codes(), _client(STATUS_PATIENCE_SECONDS, _say) as client:
        found = looking.find(client, record_id)
        (looking.print_json if as_json else looking.print_text)(*found)


def _send_and_wait(order: Order, show_end: Callable[[Transfer], None], poll_seconds: float) -> None:
    try:
        with display() as shown, _client(SEND_PATIENCE_SECONDS, shown.note) as client:
            transfer = follow(client, client.prepare(order), order.target, shown, poll_seconds=poll_seconds)
    except Interrupted as interrupted:
        leave(Exit.INTERRUPTED, f"Interrupted. {interrupted}")
    show_end(transfer)
    leave_unless_delivered(transfer)


def _register(order: Order, show_end: Callable[[Transfer], None]) -> None:
    with _client(SEND_PATIENCE_SECONDS, _say) as client:
        show_end(Transfer(file=client.prepare(order), delivery=None))


def _client(patience_seconds: float, note: Callable[[str], None]) -> Client:
    settings = CommandSettings()
    try:
        return Client(
            settings.url,
            settings.token.get_secret_value(),
            patience_seconds=patience_seconds,
            on_retry=lambda error: note(f"waiting: {error}"),
        )
    except ValueError as error:
        raise SettingsError(f"GRIDHAUL_URL or GRIDHAUL_TOKEN: {error}") from None


def _say(line: str) -> None:
    typer.echo(safe(line), err=True)
