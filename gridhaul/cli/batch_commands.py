"""The commands `batch` and `batches`, their options, and the end that they share with `send`."""

from collections.abc import Callable
from typing import Annotated

import typer

from gridhaul.cli.batch_display import batch_display
from gridhaul.cli.batch_lines import batch_lines, print_batches, print_batches_as_json
from gridhaul.cli.batch_options import Report, Sha256Sums
from gridhaul.cli.batch_report import Papers
from gridhaul.cli.batch_result import (
    Result,
    leave_unless_good,
    print_json,
    print_summary,
    result_of,
    say_what_is_missing,
)
from gridhaul.cli.connection import connect, say
from gridhaul.cli.exits import exit_codes
from gridhaul.cli.ids import id_of, resolve_batch
from gridhaul.cli.options import Json, JsonLines
from gridhaul.cli.send import interrupted_with
from gridhaul.cli.send_batch import follow
from gridhaul.cli.text import safe
from gridhaul.client import Client
from gridhaul.client.batch_records import BatchRecord
from gridhaul.client.batches import Batches
from gridhaul.transfer.batches import BatchState

PATIENCE_SECONDS = 30.0
LOOK_PATIENCE_SECONDS = 5.0

commands = typer.Typer()


def _state(value: str | None) -> str | None:
    if value is not None and value.upper() not in set(BatchState):
        raise typer.BadParameter(f"the states are {', '.join(BatchState)}")
    return value and value.upper()


@commands.command()
def batch(
    batch_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", callback=id_of, help="The id of a batch, or an ending that no other batch's id has."
        ),
    ],
    start: Annotated[bool, typer.Option("--start", help="Start a batch that `send --dry-run` has planned.")] = False,
    follow_it: Annotated[bool, typer.Option("--follow", help="Follow the batch until it is over.")] = False,
    report: Report = None,
    sha256sums: Sha256Sums = None,
    as_json: Json = False,
) -> None:
    """Show a batch: its paths and targets, how far it has come, what failed and what was skipped.

    With --follow, the command ends as `gridhaul send` does. --report and --sha256sums write what there is now.
    """
    papers = Papers(report=report, sha256sums=sha256sums)
    with exit_codes():
        find = Batches.start_planned if start else Batches.get
        if follow_it:
            result = follow_batch(lambda client: find(client.batches, resolve_batch(client, batch_id)), papers)
            end_batch(result, as_json=as_json)
            return
        with connect(LOOK_PATIENCE_SECONDS, say) as client:
            whole_id = resolve_batch(client, batch_id)
            find(client.batches, whole_id)
            papers.write(client, whole_id)
            show_batch(client, whole_id, as_json=as_json)


@commands.command()
def batches(
    state: Annotated[
        str | None, typer.Option(metavar="STATE", callback=_state, help="Only batches in this state.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most batches to list.")] = 20,
    as_json: JsonLines = False,
) -> None:
    """List batches, newest first, with the counts that were made last."""
    with exit_codes(), connect(LOOK_PATIENCE_SECONDS, say) as client:
        found = client.batches.newest(states=[state] if state else (), limit=limit)
        (print_batches_as_json if as_json else print_batches)(found)


def follow_batch(make: Callable[[Client], BatchRecord], papers: Papers) -> Result:
    """Follow the batch that `make` returns to its end, write what is wanted, and return what to tell.

    Raises ClientError, Interrupted.
    """
    with batch_display() as shown, connect(PATIENCE_SECONDS, shown.note) as client:
        ended = follow(client, make(client), shown)
        with interrupted_with(f"The batch is over; look with: gridhaul batch {ended['batch_id']}"):
            result = result_of(client, ended)
            papers.write(client, ended["batch_id"])
        return result


def end_batch(result: Result, *, by_rule: frozenset[str] = frozenset(), as_json: bool) -> None:
    """Print the end of a batch that is over, and exit by what has become of it."""
    (print_json if as_json else print_summary)(result)
    say_what_is_missing(result)
    leave_unless_good(result.batch, by_rule=by_rule)


def show_batch(client: Client, batch_id: str, *, as_json: bool) -> None:
    """Print a batch, whether it is over or not. Raises ClientError."""
    result = result_of(client, client.batches.get(batch_id))
    if as_json:
        print_json(result)
        return
    typer.echo("\n".join(safe(line) for line in batch_lines(result.batch)))
    print_summary(result)
    say_what_is_missing(result)
