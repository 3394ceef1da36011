"""`gridhaul send`: register a file, follow its transfer, and print the outcome."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from gridhaul.cli.display import Display
from gridhaul.cli.exits import exit_of_failure, leave
from gridhaul.cli.text import safe, size
from gridhaul.client import Client, ClientError, Transfer
from gridhaul.client.records import FileRecord, ReceiptRecord


class Interrupted(Exception):
    """Ctrl-C ended `follow`. The message says how to look again, and is printed after the bars are gone."""


def follow(client: Client, file: FileRecord, target: str, display: Display, *, poll_seconds: float) -> Transfer:
    """Show the transfer until it is over, and return its last state. Raises ClientError, Interrupted."""
    file_id = file["file_id"]
    typer.echo(safe(f"file {file_id} {file['name']} ({size(file['length'])})"), err=True)
    transfer = Transfer(file=file, delivery=None)
    with _saying_how_to_look_again(file_id):
        for transfer in client.follow(file_id, target, poll_seconds=poll_seconds):
            display.show(transfer)
    return transfer


def print_registered(transfer: Transfer) -> None:
    typer.echo(f"REGISTERED {transfer.file['file_id']} {transfer.file['length']}")


def print_delivered(transfer: Transfer) -> None:
    """Print the last line of a delivered transfer; print nothing for any other transfer."""
    receipt = _receipt(transfer)
    if receipt:
        proof = f"{receipt['length']} sha-256={receipt['sha-256']} {receipt['location']}"
        typer.echo(safe(f"DELIVERED {transfer.file['file_id']} {proof}"))


def print_json(transfer: Transfer) -> None:
    """Print `{"file": …, "delivery": …}`, escaped as ASCII, so that no text of the records can control the terminal."""
    typer.echo(json.dumps({"file": transfer.file, "delivery": transfer.delivery}))


def leave_unless_delivered(transfer: Transfer) -> None:
    if not _receipt(transfer):
        _leave_failed(transfer)


def _receipt(transfer: Transfer) -> ReceiptRecord | None:
    delivery = transfer.delivery
    return delivery["receipt"] if delivery and delivery["state"] == "DELIVERED" else None


def _leave_failed(transfer: Transfer) -> NoReturn:
    state, error = transfer.current["state"].lower(), transfer.current["error"]
    code, detail = (error["code"], error["detail"]) if error else (state, f"The transfer was {state}.")
    leave(exit_of_failure(code), f"FAILED {transfer.file['file_id']} {code}: {detail}")


@contextmanager
def _saying_how_to_look_again(file_id: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(_how_to_look_again(file_id)) from None
    except ClientError:
        typer.echo(_how_to_look_again(file_id), err=True)
        raise


def _how_to_look_again(file_id: str) -> str:
    return f"The transfer continues on the server; look with: gridhaul status {file_id}"
