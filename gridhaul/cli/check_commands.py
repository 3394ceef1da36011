"""The commands `fsck`, `gc` and `check`, and their options."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import typer

from gridhaul.cli.connection import connect, say
from gridhaul.cli.exits import exit_codes
from gridhaul.cli.fsck import (
    follow,
    leave_unless_clean,
    over,
    print_json,
    print_json_lines,
    print_list,
    print_started,
    print_text,
    start,
)
from gridhaul.cli.ids import id_or_none, resolve, resolve_check
from gridhaul.cli.options import Json, length_of
from gridhaul.client import Client
from gridhaul.client.records import CheckOrder, CheckRecord
from gridhaul.transfer.checks import CheckKind, Mode

PATIENCE_SECONDS = 30.0
LIST_PATIENCE_SECONDS = 5.0
LISTED = 20

commands = typer.Typer()

Wait = Annotated[bool, typer.Option(help="Follow the check until it is over.")]


@commands.command()
def fsck(
    record_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            callback=id_or_none,
            help="The id of a file, or of a delivery, whose file to check, or an ending that no other id has; without "
            "ID, everything is checked.",
        ),
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Repair everything that can be repaired.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report what --repair would do; change nothing.")] = False,
    read_targets: Annotated[
        bool, typer.Option("--read-targets", help="Read objects back from targets that tell no digest.")
    ] = False,
    rate: Annotated[
        str | None, typer.Option(metavar="RATE", help="The most bytes to read a second, such as 20MiB.")
    ] = None,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Check what is stored and delivered against the manifests and records."""
    mode = Mode.DRY_RUN if dry_run else Mode.REPAIR if repair else Mode.REPORT
    order = CheckOrder(
        kind=CheckKind.FSCK,
        mode=mode,
        record_id=record_id,
        read_targets=read_targets,
        bytes_per_second=_rate(rate),
    )
    _check(lambda client: start(client, _resolved(client, order)), wait=wait, as_json=as_json)


@commands.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report what would be removed; remove nothing.")] = False,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Remove stored bytes, and unfinished uploads at targets, that belong to nothing."""
    order = CheckOrder(kind=CheckKind.GC, mode=Mode.DRY_RUN if dry_run else Mode.REPAIR)
    _check(lambda client: start(client, order), wait=wait, as_json=as_json)


@commands.command()
def check(
    check_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", callback=id_or_none, help="The id of a check, or an ending that no other check has."
        ),
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel the check for good.")] = False,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """List checks, scheduled ones included; with ID, follow that check or cancel it."""
    if check_id is None:
        if cancel:
            raise typer.BadParameter("--cancel needs the id of a check")
        with exit_codes(), connect(LIST_PATIENCE_SECONDS, say) as client:
            (print_json_lines if as_json else print_list)(client.checks(limit=LISTED))
    elif cancel:
        with exit_codes(), connect(LIST_PATIENCE_SECONDS, say) as client:
            (print_json if as_json else print_started)(client.cancel_check(resolve_check(client, check_id)))
    else:
        _check(
            lambda client: client.check(resolve_check(client, check_id)),
            wait=wait,
            as_json=as_json,
        )


def _check(find: Callable[[Client], CheckRecord], *, wait: bool, as_json: bool) -> None:
    """Find the check, and with `wait` follow it to its end. Print the result of a finished check, else its state."""
    with exit_codes():
        with connect(PATIENCE_SECONDS, say) as client:
            found = find(client)
            if wait:
                found = follow(client, found)
        (print_json if as_json else print_text if over(found) else print_started)(found)
        if over(found):
            leave_unless_clean(found)


def _resolved(client: Client, order: CheckOrder) -> CheckOrder:
    return replace(order, record_id=resolve(client, order.record_id)) if order.record_id else order


def _rate(value: str | None) -> int | None:
    """Return the bytes a second of a rate such as `20MiB`, `512KiB` or `4096`. Raises BadParameter."""
    if value is None:
        return None
    rate = length_of(value)
    if not rate:
        raise typer.BadParameter("a rate must be more than 0 bytes a second")
    return rate
