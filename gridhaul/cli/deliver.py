"""`gridhaul deliver`: deliver a file that is stored, and follow the delivery."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from gridhaul.cli import status
from gridhaul.cli.connection import say
from gridhaul.cli.display import Display
from gridhaul.cli.exits import Exit, leave
from gridhaul.cli.ids import resolve
from gridhaul.cli.send import follow, interrupted_with
from gridhaul.client import ApiError, Client, DeliverTo, Transfer
from gridhaul.client.records import DeliveryRecord, FileRecord
from gridhaul.transfer.errors import OptionsConflict
from gridhaul.transfer.states import Action

WHAT_HELPS = {
    "REGISTERED": "look with `gridhaul status {id}`, and deliver the file when it is STORED",
    "STORING": "look with `gridhaul status {id}`, and deliver the file when it is STORED",
    "PAUSED": "go on with `gridhaul resume {id}`, and deliver the file when it is STORED",
    "FAILED": "start it again with `gridhaul retry {id}`, and deliver the file when it is STORED",
    "CANCELLED": "start it again with `gridhaul retry {id}`, and deliver the file when it is STORED",
}


def find_stored(client: Client, record_id: str) -> FileRecord:
    """Return the stored file with the id, or the file of the delivery with the id; exit if it is not stored.

    Raises ClientError.
    """
    file = _find(client, resolve(client, record_id))
    if file["state"] != "STORED":
        helps = WHAT_HELPS.get(file["state"], "its bytes are gone; send its source anew with `gridhaul send`")
        about = f"The file {file['file_id']} is {file['state']}, not STORED: {helps.format(id=file['file_id'])}."
        leave(Exit.FAILED, f"ERROR not_stored: {about}")
    return file


def queue(client: Client, file: FileRecord, destination: DeliverTo) -> DeliveryRecord:
    """Queue the delivery, unless it is open or DELIVERED already, and return it. Raises ClientError, Interrupted.

    A delivery whose object was found lost is DELIVERED, and is retried.
    """
    advice = f"The delivery may be queued all the same; look with: gridhaul status {file['file_id']}"
    with interrupted_with(advice), _naming_the_options():
        delivery = client.deliver(file, destination)
        if delivery["object_error"] is None:
            return delivery
        return client.operate_delivery(delivery["delivery_id"], Action.RETRY)


def deliver_and_follow(client: Client, file: FileRecord, destination: DeliverTo, display: Display) -> Transfer:
    """Show the delivery until it is over, and return its last state. Raises ClientError, Interrupted."""
    delivery = queue(client, file, destination)
    return follow(file, client.follow_delivery(file, delivery), display)


def print_queued(_: FileRecord, delivery: DeliveryRecord) -> None:
    typer.echo(f"{delivery['state']} {delivery['delivery_id']}")


def _find(client: Client, record_id: str) -> FileRecord:
    file, deliveries = status.find(client, record_id)
    if file is None:
        file = client.file(deliveries[0]["file_id"])
        say(f"{record_id} is a delivery; its file {file['file_id']} {file['name']} is delivered")
    return file


@contextmanager
def _naming_the_options() -> Iterator[None]:
    """Add the options of the command to the api's refusal of a delivery that exists with another policy."""
    try:
        yield
    except ApiError as error:
        if error.code != OptionsConflict.code:
            raise
        detail = f"{error.detail} The policy is the option --if-exists; another --name makes another delivery."
        raise ApiError(code=error.code, status=error.status, detail=detail) from None
