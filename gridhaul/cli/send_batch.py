"""`gridhaul send` of several files: make the batch, follow it, and say how to look again when that ends early."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import typer

from gridhaul.cli.batch_display import BatchDisplay
from gridhaul.cli.batch_progress import look_at
from gridhaul.cli.path_list import PathList, sources_of
from gridhaul.cli.send import OF_PATH, interrupted_with, saying_how_to_look_again
from gridhaul.cli.text import safe
from gridhaul.client import ApiError, BatchOrder, Client, ClientError
from gridhaul.client.batch_records import BatchRecord
from gridhaul.transfer import errors

NAMED_AT_MOST = 3


def start(client: Client, order: BatchOrder) -> BatchRecord:
    """Make the batch. Raises ClientError, Interrupted."""
    advice = "The batch may be made all the same; look with: gridhaul batches"
    with interrupted_with(advice), _naming_paths_or_targets(order):
        return client.batches.start(order)


def start_listed(client: Client, order: BatchOrder, listed: PathList) -> BatchRecord:
    """Send the list, then make the batch. Relative paths begin at the current directory, unless the order has a base.

    Raises ClientError, Interrupted.
    """
    with interrupted_with("No batch is made."):
        made = client.batches.make_list(listed.stream, listed.format)
    base = order.base or (os.path.abspath(".") if made["relative"] else None)  # noqa: PTH100 - as in `path_of`
    with _removing_if_refused(client, made["list_id"]):
        return start(client, replace(order, list_id=made["list_id"], base=base))


def follow(client: Client, batch: BatchRecord, display: BatchDisplay) -> BatchRecord:
    """Show the batch until it is over, and return it as it is then. Raises ClientError, Interrupted."""
    batch_id = batch["batch_id"]
    display.title(f"batch {batch_id}: {_some(sources_of(batch))}{_to(batch)}")
    look_again = f"The batch continues on the server; look with: gridhaul batch {batch_id} --follow"
    with saying_how_to_look_again(look_again, display):
        for seen in client.batches.follow(batch_id):
            display.show(look_at(client, seen))
    return seen


def print_made(batch: BatchRecord) -> None:
    typer.echo(safe(f"{batch['state']} {batch['batch_id']}"))


def print_made_json(batch: BatchRecord) -> None:
    typer.echo(json.dumps({"batch": batch}))


def _to(batch: BatchRecord) -> str:
    targets = [one["target"] for one in batch["deliver_to"]]
    return f" to {', '.join(targets)}" if targets else ""


def _some(names: list[str] | tuple[str, ...]) -> str:
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


@contextmanager
def _removing_if_refused(client: Client, list_id: str) -> Iterator[None]:
    """Delete the list if its batch is refused, because only a few lists of an account may wait for a batch."""
    try:
        yield
    except ApiError as error:
        if not error.may_be_done:
            with suppress(ClientError):
                client.batches.delete_list(list_id)
        raise


@contextmanager
def _naming_paths_or_targets(order: BatchOrder) -> Iterator[None]:
    """Add the paths or the targets to a refusal that is about one of them."""
    try:
        yield
    except ApiError as error:
        about = f"On the server, FILE is {_some(order.paths)}." if error.code in OF_PATH else ""
        if error.code == errors.TargetUnknown.code:
            targets = _some(tuple(one.target for one in order.targets))
            about = f"--to is {targets}; an operator names targets in targets.toml, which is read at the start."
        if not about or error.invalid:
            raise
        raise ApiError(code=error.code, status=error.status, detail=f"{error.detail} {about}") from None
