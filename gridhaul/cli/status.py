"""`gridhaul status`: show a file with its deliveries, or one delivery, in a few lines or as JSON."""

import json
from collections.abc import Sequence

import typer

from gridhaul.cli.text import clause, progress, safe, size
from gridhaul.client import ApiError, Client
from gridhaul.client.records import DeliveryRecord, FailureRecord, FileRecord
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


def print_text(file: FileRecord | None, deliveries: Sequence[DeliveryRecord]) -> None:
    lines = _file_lines(file) if file else []
    for delivery in deliveries:
        lines += _delivery_lines(delivery)
    typer.echo("\n".join(safe(line) for line in lines))


def print_json(file: FileRecord | None, deliveries: Sequence[DeliveryRecord]) -> None:
    """Print `{"file": …, "deliveries": …}` for a file, `{"delivery": …}` for a delivery."""
    typer.echo(json.dumps({"file": file, "deliveries": deliveries} if file else {"delivery": deliveries[0]}))


def _file_lines(file: FileRecord) -> list[str]:
    layout = f", {file['layout']}" if file["layout"] else ""
    digest = file["digests"].get("sha-256")
    return [
        f"file {file['file_id']} {file['state']}",
        f"  name      {file['name']} ({file['content_type']})",
        f"  length    {file['length']} bytes ({size(file['length'])}), {file['chunk_count']} chunks{layout}",
        f"  stored    {progress(file['stored_bytes'], file['length'], file['rate'])}",
        *([f"  sha-256   {digest}"] if digest else []),
        f"  attempts  {file['attempts']}",
        *_error_lines(file["error"]),
        *_waiting_lines(file["waiting"]),
        f"  updated   {file['updated_at']}",
    ]


def _delivery_lines(delivery: DeliveryRecord) -> list[str]:
    receipt = delivery["receipt"]
    return [
        f"delivery {delivery['delivery_id']} {delivery['state']}",
        f"  to        {delivery['target']}: {delivery['object_name']} (if it exists: {delivery['if_exists']})",
        f"  sent      {progress(delivery['sent_bytes'], delivery['length'], delivery['rate'])}",
        f"  attempts  {delivery['attempts']}",
        *_error_lines(delivery["error"]),
        *_cleaning_lines(delivery),
        *_waiting_lines(delivery["waiting"]),
        f"  updated   {delivery['updated_at']}",
        *([f"  evidence  {receipt['evidence']}", f"  location  {receipt['location']}"] if receipt else []),
    ]


def _error_lines(error: FailureRecord | None) -> list[str]:
    return [f"  error     {error['code']}: {error['detail']}"] if error else []


def _cleaning_lines(delivery: DeliveryRecord) -> list[str]:
    error = delivery["cleaning_error"]
    if error is None:
        return []
    why = f"{error['code']}: {error['detail']}"
    if not delivery["leftovers"]:
        return [f"  not cleaned up: {why}"]
    return [f"  not cleaned up yet: {name} ({why})" for name in delivery["leftovers"]]


def _waiting_lines(waiting: FailureRecord | None) -> list[str]:
    return [f"  waiting   {clause(waiting['detail'])}"] if waiting else []
