"""The options of `gridhaul ls` that narrow its lists, and which of them go together."""

from enum import StrEnum
from typing import Annotated

import typer

from gridhaul.cli.ids import whole_ids_of
from gridhaul.cli.options import text_or_none, username_or_none
from gridhaul.client.filters import ListFilters


class Order(StrEnum):
    NEWEST = "newest"
    NAME = "name"


def _batch_of(value: str | None) -> str | None:
    return None if value is None else whole_ids_of([value])[0]


Batch = Annotated[
    str | None,
    typer.Option(metavar="ID", callback=_batch_of, help="Only members of this batch; its whole id."),
]
Target = Annotated[
    str | None, typer.Option(metavar="TARGET", callback=text_or_none, help="Only what goes to this target.")
]
Prefix = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        callback=text_or_none,
        help="Only files whose name, and deliveries whose object's name, begins with TEXT; sorted by name.",
    ),
]
Owner = Annotated[
    str | None,
    typer.Option(
        metavar="USER",
        callback=username_or_none,
        help="Only what this account has. Without it, --target, --prefix and --order name list your own account.",
    ),
]
Ordered = Annotated[Order | None, typer.Option("--order", help="Sort by name, or list the newest first.")]


def filters_of(
    *, batch: str | None, target: str | None, prefix: str | None, owner: str | None, order: Order | None
) -> ListFilters:
    """Return the filters. Raises BadParameter for options that no list combines."""
    options = {"--batch": batch, "--target": target, "--prefix": prefix}
    given = [option for option, value in options.items() if value]
    if len(given) > 1:
        raise typer.BadParameter(f"{given[0]} excludes {given[1]}")
    if target and order is Order.NAME:
        raise typer.BadParameter("a list with --target begins with the newest, and excludes --order name")
    if prefix and order is Order.NEWEST:
        raise typer.BadParameter("a list with --prefix is sorted by name, and excludes --order newest")
    if batch and owner:
        raise typer.BadParameter("a batch belongs to one account, so --batch excludes --owner")
    ordered = order and order.value
    return ListFilters(batch=batch, target=target, name_prefix=prefix or None, owner=owner, order=ordered)


def needs_owner(filters: ListFilters) -> bool:
    """Return whether the list shows one account, and the command has to find out which."""
    of_one_account = filters.target is not None or (filters.by_name and filters.batch is None)
    return of_one_account and filters.owner is None
