"""`gridhaul status`: show a file with its deliveries, or one delivery, in a few lines or as JSON."""

import json
from collections.abc import Sequence

import typer

from gridhaul.cli.status_lines import delivery_lines, file_lines
from gridhaul.cli.text import safe
from gridhaul.client import ApiError, Client
from gridhaul.client.records import DeliveryRecord, FileRecord
from gridhaul.transfer.errors import NotFound


def find(client: Client, record_id: str) -> tuple[FileRecord | None, list[DeliveryRecord]]:
    """Return the file with the id and its deliveries, or None and the delivery with the id. Raises ClientError."""
    try:
        return client.file(record_id), client.deliveries(record_id)
    except ApiError as error:
        if error.code != NotFound.code:
            raise
    try:
        return None, [client.delivery(record_id)]
    except ApiError as error:
        if error.code != NotFound.code:
            raise
        detail = "There is no such file or delivery."
        raise ApiError(code=error.code, status=error.status, detail=detail) from None


def find_with_histories(client: Client, record_id: str) -> tuple[FileRecord | None, list[DeliveryRecord]]:
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
