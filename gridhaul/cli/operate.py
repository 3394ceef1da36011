"""`gridhaul cancel`, `pause`, `resume`, `retry` and `rm`: try every id, and print one line for each."""

from collections.abc import Callable, Sequence

import typer

from gridhaul.cli.exits import Exit, exit_of_operation
from gridhaul.cli.kinds import first_found
from gridhaul.cli.text import safe
from gridhaul.cli.words import told
from gridhaul.client import ApiError, Client
from gridhaul.client.batch_records import BatchRecord
from gridhaul.client.records import DeliveryRecord, FileRecord
from gridhaul.transfer.states import Action


def operate(client: Client, action: Action, record_id: str) -> str:
    """Apply the action to the record with the id; return a line with its new state. Raises ClientError."""
    return first_found(
        lambda: _file_line(client.operate_file(record_id, action)),
        lambda: _delivery_line(client.operate_delivery(record_id, action)),
        lambda: _batch_line(client.batches.operate(record_id, action)),
        kinds="file, delivery or batch",
    )


def remove(client: Client, record_id: str) -> str:
    """Delete the file, or all files of the batch; return a line with its new state. Raises ClientError."""
    return first_found(
        lambda: _file_line(client.delete_file(record_id)),
        lambda: _batch_line(client.batches.delete(record_id)),
        kinds="file or batch",
    )


def cancel_and_remove(client: Client, record_id: str) -> str:
    """Do what `remove` does, after cancelling what is open of it. Raises ClientError."""
    return first_found(
        lambda: _file_line(client.cancel_and_delete_file(record_id)),
        lambda: _batch_line(client.batches.cancel_and_delete(record_id)),
        kinds="file or batch",
    )


def for_each(record_ids: Sequence[str], act: Callable[[str], str]) -> None:
    """Print the line that `act` returns for each id, or why the api refused the id.

    If the api refused any, exit with the code of the first refusal.
    """
    refusals: list[Exit] = []
    for record_id in record_ids:
        try:
            typer.echo(safe(act(record_id)))
        except ApiError as error:
            typer.echo(safe(f"ERROR {record_id} {error.code}: {told(error)}"), err=True)
            refusals.append(exit_of_operation(error))
    if refusals:
        raise typer.Exit(refusals[0])


def _file_line(file: FileRecord) -> str:
    return f"file {file['file_id']} {file['state']}"


def _delivery_line(delivery: DeliveryRecord) -> str:
    return f"delivery {delivery['delivery_id']} {delivery['state']}"


def _batch_line(batch: BatchRecord) -> str:
    return f"batch {batch['batch_id']} {batch['state']}"
