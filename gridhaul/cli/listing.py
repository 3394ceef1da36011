"""`gridhaul ls`: list files and deliveries, newest first or by name."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import astuple, replace

import typer

from gridhaul.cli.connection import say
from gridhaul.cli.fitted_rows import print_fitted
from gridhaul.cli.rows import Row, delivery_row, file_row
from gridhaul.cli.table import print_tabs
from gridhaul.cli.times import local_now
from gridhaul.client import Client
from gridhaul.client.filters import ListFilters
from gridhaul.client.records import DeliveryRecord, FileRecord
from gridhaul.transfer.states import OPEN, DeliveryState, FileState

FILE_HEADER = Row(
    name="NAME", source="SOURCE", size="SIZE", state="STATE", target="TARGET", time="TIME", id="ID", note="NOTE"
)
DELIVERY_HEADER = replace(FILE_HEADER, name="OBJECT")
KEPT = frozenset(FileState) - {FileState.DELETED}
NOT_DONE = OPEN | {DeliveryState.FAILED}
STATES = tuple(dict.fromkeys((*map(str, FileState), *map(str, DeliveryState))))

Listed = tuple[list[FileRecord], list[DeliveryRecord]]


def find(client: Client, filters: ListFilters, *, limit: int) -> Listed:
    """Return the first files that are not deleted, and the first deliveries to look at, up to `limit` of each.

    Raises ClientError.
    """
    return client.files(states=KEPT, limit=limit, filters=filters), _not_done(client, filters, limit)


def find_with_deleted(client: Client, filters: ListFilters, *, limit: int) -> Listed:
    """Return the first files in every state, and the first deliveries to look at, up to `limit` of each.

    Raises ClientError.
    """
    return client.files(states=(), limit=limit, filters=filters), _not_done(client, filters, limit)


def find_files(client: Client, filters: ListFilters, *, limit: int) -> Listed:
    """Return the first files in every state, up to `limit`, and no deliveries. Raises ClientError."""
    return client.files(states=(), limit=limit, filters=filters), []


def find_in_state(client: Client, state: str, filters: ListFilters, *, limit: int) -> Listed:
    """Return the first files and deliveries in the state, up to `limit` of each. Raises ClientError."""
    files = client.files(states=[state], limit=limit, filters=filters) if state in set(FileState) else []
    in_state = state in set(DeliveryState)
    return files, find_deliveries(client, state, filters, limit=limit)[1] if in_state else []


def find_deliveries(client: Client, state: str | None, filters: ListFilters, *, limit: int) -> Listed:
    """Return no files, and the first deliveries in the state, or in every state for None. Raises ClientError."""
    return [], client.all_deliveries(states=[state] if state else (), limit=limit, filters=filters)


def print_text(files: Sequence[FileRecord], deliveries: Sequence[DeliveryRecord]) -> None:
    """Print a table of the files, and one of the deliveries: fitted to a terminal, elsewhere whole and with tabs."""
    now = local_now()
    tables = (
        (FILE_HEADER, [file_row(file, now=now) for file in files]),
        (DELIVERY_HEADER, [delivery_row(delivery, now=now) for delivery in deliveries]),
    )
    for n, (header, rows) in enumerate(table for table in tables if table[1]):
        if n:
            typer.echo()
        if sys.stdout is not None and sys.stdout.isatty():
            print_fitted(header, rows, columns=shutil.get_terminal_size().columns, now=now)
        else:
            print_tabs(astuple(row) for row in (header, *rows))


def say_what_is_missing(
    files: Sequence[FileRecord], deliveries: Sequence[DeliveryRecord], filters: ListFilters, *, limit: int
) -> None:
    """Say on a terminal that there are none, or that there may be more than were listed."""
    if sys.stdout is None or not sys.stdout.isatty():
        return
    if not files and not deliveries:
        say("There are none.")
    elif limit in (len(files), len(deliveries)):
        which = "first" if filters.by_name else "newest"
        say(f"Only the {which} {limit} are listed; --limit N lists more.")


def print_json_lines(files: Sequence[FileRecord], deliveries: Sequence[DeliveryRecord]) -> None:
    """Print one `{"file": …}` or `{"delivery": …}` a line."""
    for file in files:
        typer.echo(json.dumps({"file": file}))
    for delivery in deliveries:
        typer.echo(json.dumps({"delivery": delivery}))


def _not_done(client: Client, filters: ListFilters, limit: int) -> list[DeliveryRecord]:
    """Return deliveries that are open or failed and, where the list can have these, whose object was lost."""
    found = client.all_deliveries(states=NOT_DONE, limit=limit, filters=filters)
    if filters.params.keys() - {"owner"}:
        return found
    found += client.lost_deliveries(limit=limit, filters=filters)
    return sorted(found, key=lambda delivery: delivery["created_at"], reverse=True)[:limit]
