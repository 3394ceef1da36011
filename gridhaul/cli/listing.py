"""`gridhaul ls`: list files, and deliveries that failed or are in the requested state, newest first."""

import json
from collections.abc import Sequence

import typer

from gridhaul.cli.table import print_table
from gridhaul.cli.text import progress
from gridhaul.client import Client
from gridhaul.client.records import DeliveryRecord, FileRecord
from gridhaul.transfer.states import DeliveryState, FileState

HEADER = ("KIND", "ID", "STATE", "PROGRESS", "WHAT")
STATES = tuple(dict.fromkeys((*map(str, FileState), *map(str, DeliveryState))))

Listed = tuple[list[FileRecord], list[DeliveryRecord]]


def find(client: Client, *, limit: int) -> Listed:
    """Return the newest files and the newest failed deliveries, up to `limit` of each. Raises ClientError."""
    return client.files(state=None, limit=limit), client.all_deliveries(state=DeliveryState.FAILED, limit=limit)


def find_in_state(client: Client, state: str, *, limit: int) -> Listed:
    """Return the newest files and deliveries in the state, up to `limit` of each. Raises ClientError."""
    files = client.files(state=state, limit=limit) if state in set(FileState) else []
    deliveries = client.all_deliveries(state=state, limit=limit) if state in set(DeliveryState) else []
    return files, deliveries


def print_text(files: Sequence[FileRecord], deliveries: Sequence[DeliveryRecord]) -> None:
    print_table(HEADER, [_file_row(file) for file in files] + [_delivery_row(delivery) for delivery in deliveries])


def print_json_lines(files: Sequence[FileRecord], deliveries: Sequence[DeliveryRecord]) -> None:
    """Print one `{"file": …}` or `{"delivery": …}` a line."""
    for file in files:
        typer.echo(json.dumps({"file": file}))
    for delivery in deliveries:
        typer.echo(json.dumps({"delivery": delivery}))


def _file_row(file: FileRecord) -> tuple[str, ...]:
    done = progress(file["stored_bytes"], file["length"], file["rate"])
    return "file", file["file_id"], file["state"], done, file["name"] + _reason(file)


def _delivery_row(delivery: DeliveryRecord) -> tuple[str, ...]:
    done = progress(delivery["sent_bytes"], delivery["length"], delivery["rate"])
    description = f"{delivery['target']}: {delivery['object_name']}{_reason(delivery)}"
    return "delivery", delivery["delivery_id"], delivery["state"], done, description


def _reason(record: FileRecord | DeliveryRecord) -> str:
    error = record["error"]
    return f" ({error['code']}: {error['detail']})" if error else ""
