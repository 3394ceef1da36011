"""`gridhaul deliver`: deliver a file that is stored, and follow the delivery."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import typer

from gridhaul.cli import status
from gridhaul.cli.connection import say
from gridhaul.cli.display import Display
from gridhaul.cli.exits import Exit, leave
from gridhaul.cli.ids import resolve
from gridhaul.cli.send import follow, interrupted_with, naming_path_or_target
from gridhaul.client import ApiError, Client, DeliverTo, Transfer
from gridhaul.client.records import DeliveryRecord, FileRecord
from gridhaul.transfer.errors import OptionsConflict
from gridhaul.transfer.states import Action

ADVICE_BY_STATE = {
    "REGISTERED": "look with `gridhaul status {id}`, and deliver the file when it is STORED",
    "RECEIVING": "its client has not sent all of it yet; look with `gridhaul status {id}`",
    "STORING": "look with `gridhaul status {id}`, and deliver the file when it is STORED",
    "PAUSED": "go on with `gridhaul resume {id}`, and deliver the file when it is STORED",
    "FAILED": "start it again with `gridhaul retry {id}`, and deliver the file when it is STORED",
    "CANCELLED": "start it again with `gridhaul retry {id}`, and deliver the file when it is STORED",
}
BYTES_GONE = "its bytes are gone; send its source anew with `gridhaul send` or `gridhaul put`"


def find_stored(client: Client, record_id: str, destination: DeliverTo) -> tuple[FileRecord, DeliverTo]:
    """Return the stored file with the id and the destination; exit if the file is not stored. Raises ClientError.

    The id of a delivery means its file, and at the same target also its name, if the destination has none.
    """
    file, destination = _find(client, resolve(client, record_id), destination)
    if file["state"] != "STORED":
        helps = ADVICE_BY_STATE.get(file["state"], BYTES_GONE)
        about = f"The file {file['file_id']} is {file['state']}, not STORED: {helps.format(id=file['file_id'])}."
        leave(Exit.FAILED, f"ERROR not_stored: {about}")
    return file, destination


def queue(client: Client, file: FileRecord, destination: DeliverTo) -> DeliveryRecord:
    """Queue the delivery, unless it is open or DELIVERED already, and return it. Raises ClientError, Interrupted.

    A delivery whose object was found lost is DELIVERED, and is retried.
    """
    advice = f"The delivery may be queued all the same; look with: gridhaul status {file['file_id']}"
    about = naming_path_or_target(file["file_path"] or file["name"], destination.target)
    with interrupted_with(advice), _naming_the_options(), about:
        delivery = client.deliver(file, destination)
        if delivery["object_error"] is None:
            return delivery
        return client.operate_delivery(delivery["delivery_id"], Action.RETRY)


def deliver_and_follow(client: Client, file: FileRecord, destination: DeliverTo, display: Display) -> Transfer:
    """Show the delivery until it is over, and return its last state. Raises ClientError, Interrupted."""
    delivery = queue(client, file, destination)
    return follow(file, client.follow_delivery(file, delivery), display)


def print_queued(_: FileRecord, delivery: DeliveryRecord) -> None:
    typer.echo(f"delivery {delivery['delivery_id']} {delivery['state']}")


def _find(client: Client, record_id: str, destination: DeliverTo) -> tuple[FileRecord, DeliverTo]:
    file, deliveries = status.find(client, record_id)
    if file is not None:
        return file, destination
    (delivery,) = deliveries
    file = client.file(delivery["file_id"])
    if destination.object_name is None and destination.target == delivery["target"]:
        destination = replace(destination, object_name=delivery["object_name"])
    name = destination.object_name or file["name"]
    say(f"{record_id} is a delivery; this command delivers its file {file['file_id']} as {name}")
    return file, destination


@contextmanager
def _naming_the_options() -> Iterator[None]:
    """Add the options of the command to the api's refusal of a delivery that exists with another policy."""
    try:
        yield
    except ApiError as error:
        if error.code != OptionsConflict.code:
            raise
        detail = f"{error.detail} The options are --if-exists and --name."
        raise ApiError(code=error.code, status=error.status, detail=detail) from None
