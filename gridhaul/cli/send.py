"""`gridhaul send`: register a file, follow its transfer, and print the outcome. `gridhaul deliver` ends alike."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from gridhaul.cli.display import Display, Speaker
from gridhaul.cli.exits import Interrupted, exit_of_failure, leave
from gridhaul.cli.text import safe, size
from gridhaul.client import ApiError, Client, ClientError, Order, Transfer
from gridhaul.client.records import DeliveryRecord, FileRecord, ReceiptRecord, known_length
from gridhaul.transfer import errors

NAME_TAKEN = frozenset({errors.ObjectExists.code, errors.NotAnObject.code})
PATTERN_CHARACTERS = frozenset("*?[")
CHUNK_CODES = frozenset({errors.ChunkCorrupt.code, errors.ChunkMissing.code, errors.ChunkDoubled.code})
OF_PATH = frozenset(
    error.code
    for error in (
        errors.NotARegularFile,
        errors.PathInvalid,
        errors.PathNotAllowed,
        errors.SourceMissing,
        errors.SourceUnreadable,
    )
)


def send_and_follow(client: Client, order: Order, display: Display) -> Transfer:
    """Register the file, show the transfer until it is over, and return its last state.

    Raises ClientError, Interrupted.
    """
    file = register(client, order)
    return follow(file, client.follow(file["file_id"], order.destination.target), display)


def register(client: Client, order: Order) -> FileRecord:
    """Register the file and its delivery. Raises ClientError, Interrupted."""
    advice = "The file may be registered all the same; look with: gridhaul ls"
    with interrupted_with(advice), naming_path_or_target(order.path, order.destination.target):
        return client.prepare(order)


def may_be_several(path: str, error: ApiError) -> bool:
    """Return whether a path that was refused as a single file may be a directory or a pattern."""
    if error.code == errors.NotARegularFile.code:
        return True
    return error.code == errors.SourceMissing.code and bool(PATTERN_CHARACTERS.intersection(path))


def follow(file: FileRecord, transfers: Iterator[Transfer], display: Display) -> Transfer:
    """Show the transfers of the file, and return the last one. Raises ClientError, Interrupted."""
    display.title(f"file {file['file_id']} {file['name']} ({size(known_length(file))})")
    look_again = f"The transfer continues on the server; look with: gridhaul status {file['file_id']}"
    with saying_how_to_look_again(look_again, display):
        for transfer in transfers:
            display.show(transfer)
    return transfer


def print_registered(transfer: Transfer) -> None:
    file = transfer.file
    typer.echo(f"REGISTERED {file['file_id']} {file['length']}")


def print_delivered(transfer: Transfer) -> None:
    """Print the last line of a delivered transfer; print nothing for any other transfer."""
    receipt = _receipt(transfer)
    if receipt:
        proof = f"{receipt['length']} sha-256={receipt['sha-256']} {receipt['location']}"
        typer.echo(safe(f"DELIVERED {transfer.file['file_id']} {proof}"))


def print_json(transfer: Transfer) -> None:
    print_records(transfer.file, transfer.delivery)


def print_records(file: FileRecord, delivery: DeliveryRecord | None) -> None:
    """Print `{"file": …, "delivery": …}`, escaped as ASCII, so that no text of the records can control the terminal."""
    typer.echo(json.dumps({"file": file, "delivery": delivery}))


def leave_unless_delivered(transfer: Transfer) -> None:
    if not _receipt(transfer):
        _leave_failed(transfer)


def _receipt(transfer: Transfer) -> ReceiptRecord | None:
    delivery = transfer.delivery
    return delivery["receipt"] if delivery and delivery["state"] == "DELIVERED" else None


def _leave_failed(transfer: Transfer) -> NoReturn:
    state, error = transfer.current["state"].lower(), transfer.current["error"]
    code, detail = (error["code"], error["detail"]) if error else (state, f"The transfer was {state}.")
    then = "" if transfer.file["state"] == "DELETED" else f" Then: {_what_then(transfer, code)}"
    leave(exit_of_failure(code), f"FAILED {transfer.file['file_id']} {code}: {detail}{then}")


def _what_then(transfer: Transfer, code: str) -> str:
    """Return the command that goes on once the reason of the failure is gone."""
    file_id, delivery = transfer.file["file_id"], transfer.delivery
    if delivery is None:
        return f"gridhaul retry {file_id}"
    if code in NAME_TAKEN:
        return f"gridhaul deliver {file_id} --to {delivery['target']} with another --name or --if-exists"
    if code in CHUNK_CODES:
        return f"gridhaul fsck {file_id} --repair"
    return f"gridhaul retry {delivery['delivery_id']}"


@contextmanager
def naming_path_or_target(path: str, target: str) -> Iterator[None]:
    """Add the path or the target to a refusal that is about one of them."""
    try:
        yield
    except ApiError as error:
        about = f"FILE is {path} on the server." if error.code in OF_PATH else ""
        if error.code == errors.TargetUnknown.code:
            about = f"The target is {target}; an operator names targets in targets.toml, which is read at the start."
        if not about or error.invalid:
            raise
        raise ApiError(code=error.code, status=error.status, detail=f"{error.detail} {about}") from None


@contextmanager
def interrupted_with(advice: str) -> Iterator[None]:
    """Raise Interrupted with the advice if Ctrl-C ends the block."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(advice) from None


@contextmanager
def saying_how_to_look_again(advice: str, display: Speaker) -> Iterator[None]:
    """Give the advice when Ctrl-C or an error ends the block. Raises Interrupted."""
    try:
        with interrupted_with(advice):
            yield
    except ClientError:
        display.say(advice)
        raise
