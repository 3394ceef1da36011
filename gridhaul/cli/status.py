"""`gridhaul status`: show a file with its deliveries, a delivery or a batch, in a few lines or as JSON."""

import json
from collections.abc import Sequence

import typer

from gridhaul.cli.batch_commands import show_batch
from gridhaul.cli.kinds import first_found
from gridhaul.cli.status_lines import delivery_lines, file_lines
from gridhaul.cli.text import safe
from gridhaul.client import Client
from gridhaul.client.records import DeliveryRecord, FileRecord

Found = tuple[FileRecord | None, list[DeliveryRecord]]


def show(client: Client, record_id: str, *, as_json: bool) -> None:
    """Print the file with its deliveries, the delivery, or the batch that has the id. Raises ClientError."""
    first_found(
        lambda: (print_json if as_json else print_text)(*find_with_histories(client, record_id)),
        lambda: show_batch(client, record_id, as_json=as_json),
        kinds="file, delivery or batch",
    )


def find(client: Client, record_id: str) -> Found:
    """Return the file with the id and its deliveries, or None and the delivery with the id. Raises ClientError."""
    return first_found(
        lambda: (client.file(record_id), client.deliveries(record_id)),
        lambda: (None, [client.delivery(record_id)]),
        kinds="file or delivery",
    )


def find_with_histories(client: Client, record_id: str) -> Found:
    """Do what `find` does, and ask for each delivery by its id, because lists leave histories out."""
    file, deliveries = find(client, record_id)
    return file, [client.delivery(one["delivery_id"]) for one in deliveries] if file else deliveries


def print_text(file: FileRecord | None, deliveries: Sequence[DeliveryRecord]) -> None:
    lines = file_lines(file) if file else []
    for delivery in deliveries:
        lines += delivery_lines(delivery)
    typer.echo("\n".join(safe(line) for line in lines))


def print_json(file: FileRecord | None, deliveries: Sequence[DeliveryRecord]) -> None:
    """Print `{"file": …, "deliveries": …}` for a file, `{"delivery": …}` for a delivery."""
    typer.echo(json.dumps({"file": file, "deliveries": deliveries} if file else {"delivery": deliveries[0]}))
