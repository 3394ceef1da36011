"""`gridhaul events`: print a line for each change of files, deliveries and batches, as they come."""

import json
from typing import Annotated, cast

import typer

from gridhaul.cli.connection import connect, say
from gridhaul.cli.exits import exit_codes
from gridhaul.cli.ids import id_or_none, resolve
from gridhaul.cli.options import JsonLines
from gridhaul.cli.path_list import sources_of
from gridhaul.cli.rows import delivery_row, file_row
from gridhaul.cli.text import clause, safe
from gridhaul.cli.times import local_now, shown_time
from gridhaul.client.batch_records import BatchRecord
from gridhaul.client.news import News
from gridhaul.client.records import DeliveryRecord, FileRecord

PATIENCE_SECONDS = 60.0


def events(
    record_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            callback=id_or_none,
            help="The id of a file, or an ending that no other id has: print only what happens to it and its "
            "deliveries, beginning with how they are now.",
        ),
    ] = None,
    as_json: JsonLines = False,
) -> None:
    """Print what happens to files, deliveries and batches, a line for each change, until Ctrl-C.

    While bytes move, a line a second tells how far they are. Several changes in one moment may be one line.
    """
    print_one = print_json if as_json else print_text
    with exit_codes(), connect(PATIENCE_SECONDS, say) as client:
        for one in client.news(record_id and resolve(client, record_id)):
            print_one(one)


def print_json(one: News) -> None:
    """Print `{"file": …}`, `{"delivery": …}` or `{"batch": …}`; of progress with `"progress": true` beside it."""
    typer.echo(json.dumps({one.kind: one.record} | ({"progress": True} if one.is_progress else {})))


def print_text(one: News) -> None:
    typer.echo(safe(f"{shown_time(one.record['updated_at'])} {_line(one)}"))


def _line(one: News) -> str:
    """Return what has happened. A batch is named by its sources."""
    if one.kind == "file":
        row = file_row(cast(FileRecord, one.record), now=local_now())
        return _joined(f"file {row.id} {row.state} {row.name}", row.note)
    if one.kind == "delivery":
        row = delivery_row(cast(DeliveryRecord, one.record), now=local_now())
        return _joined(f"delivery {row.id} {row.state} {row.target}: {row.name}", row.note)
    batch = cast(BatchRecord, one.record)
    why = batch["error"] or batch["waiting"]
    about = f"{why['code']}: {clause(why['detail'])}" if why else ""
    return _joined(f"batch {batch['batch_id']} {batch['state']} {' '.join(sources_of(batch))}", about)


def _joined(what: str, note: str) -> str:
    return f"{what} ({note})" if note else what
