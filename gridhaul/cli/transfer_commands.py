"""The commands `send` and `deliver`, and their options."""

from collections.abc import Callable
from typing import Annotated

import typer

from gridhaul.cli.connection import connect, say
from gridhaul.cli.deliver import deliver_and_follow, find_stored, print_queued, queue
from gridhaul.cli.display import Display, display
from gridhaul.cli.exits import exit_codes
from gridhaul.cli.ids import id_of
from gridhaul.cli.options import Json, path_of, text_of, text_or_none
from gridhaul.cli.send import (
    leave_unless_delivered,
    print_delivered,
    print_json,
    print_records,
    print_registered,
    register,
    send_and_follow,
)
from gridhaul.client import Client, DeliverTo, Order, Transfer
from gridhaul.transfer.model import IfChanged, IfExists

PATIENCE_SECONDS = 30.0

Target = Annotated[str, typer.Option("--to", metavar="TARGET", callback=text_of, help="The name of the target.")]
Name = Annotated[str | None, typer.Option(metavar="NAME", callback=text_or_none, help="The name at the target.")]
Existing = Annotated[IfExists, typer.Option(help="What to do if NAME exists at the target.")]
Wait = Annotated[bool, typer.Option(help="Follow the transfer until it is over.")]


def send(
    file: Annotated[str, typer.Argument(metavar="FILE", callback=path_of, help="The path of the file on the server.")],
    target: Target,
    name: Name = None,
    if_exists: Existing = IfExists.FAIL,
    if_changed: Annotated[
        IfChanged, typer.Option(help="What to do if FILE changes before all of it is stored.")
    ] = IfChanged.FAIL,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Send FILE to TARGET and wait until the file is delivered."""
    destination = DeliverTo(target=target, object_name=name, if_exists=if_exists)
    order = Order(path=file, destination=destination, if_changed=if_changed)
    with exit_codes():
        if wait:
            _end(_followed(lambda client, shown: send_and_follow(client, order, shown)), as_json=as_json)
        else:
            with connect(PATIENCE_SECONDS, say) as client:
                registered = register(client, order)
            if as_json:
                print_records(registered, None)
            else:
                print_registered(registered)


def deliver(
    record_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            callback=id_of,
            help="The id of a file that is stored, or of one of its deliveries, or an ending that no other id has.",
        ),
    ],
    target: Target,
    name: Name = None,
    if_exists: Existing = IfExists.FAIL,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Deliver a file that is stored to TARGET, and wait until it is delivered.

    The source is not read again. A delivery that FAILED or was CANCELLED begins again, and so does one whose object a
    check found lost; any other that is DELIVERED already is only printed.
    """
    destination = DeliverTo(target=target, object_name=name, if_exists=if_exists)
    with exit_codes():
        if wait:
            with connect(PATIENCE_SECONDS, say) as client:
                file, destination = find_stored(client, record_id, destination)
            delivered = _followed(lambda client, shown: deliver_and_follow(client, file, destination, shown))
            _end(delivered, as_json=as_json)
        else:
            with connect(PATIENCE_SECONDS, say) as client:
                file, destination = find_stored(client, record_id, destination)
                (print_records if as_json else print_queued)(file, queue(client, file, destination))


def _followed(follow: Callable[[Client, Display], Transfer]) -> Transfer:
    with display() as shown, connect(PATIENCE_SECONDS, shown.note) as client:
        return follow(client, shown)


def _end(transfer: Transfer, *, as_json: bool) -> None:
    (print_json if as_json else print_delivered)(transfer)
    leave_unless_delivered(transfer)
