"""The commands `send` and `deliver`, and their options."""

from collections.abc import Callable
from typing import Annotated

import typer

from gridhaul.cli.batch_commands import end_batch, follow_batch
from gridhaul.cli.batch_options import (
    Base,
    BatchOptions,
    DryRun,
    Exclude,
    Hidden,
    Include,
    LinksOption,
    Prefix,
    Report,
    Sha256Sums,
    Update,
)
from gridhaul.cli.connection import connect, say
from gridhaul.cli.deliver import deliver_and_follow, find_stored, print_queued, queue
from gridhaul.cli.display import Display, display
from gridhaul.cli.exits import exit_codes
from gridhaul.cli.ids import id_of
from gridhaul.cli.options import Json, path_of, text_of, text_or_none, texts_of
from gridhaul.cli.path_list import FilesFrom, From0, ListOptions, Manifest
from gridhaul.cli.send import (
    leave_unless_delivered,
    may_be_several,
    print_delivered,
    print_json,
    print_records,
    print_registered,
    register,
    send_and_follow,
)
from gridhaul.cli.send_batch import print_made, print_made_json, start, start_listed
from gridhaul.client import ApiError, Client, DeliverTo, Order, Transfer
from gridhaul.client.batch_records import BatchRecord
from gridhaul.transfer.model import IfExists
from gridhaul.transfer.origins import IfChanged

PATIENCE_SECONDS = 30.0

Target = Annotated[str, typer.Option("--to", metavar="TARGET", callback=text_of, help="The name of the target.")]
Targets = Annotated[
    list[str],
    typer.Option("--to", metavar="TARGET", callback=texts_of, help="The name of the target. Repeatable."),
]
Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE...",
        callback=texts_of,
        help="Paths on the server of files and directories, or patterns (**, *, ?, [ab]) in quotes. A directory keeps "
        "its name in the names at the target, unless its path ends with /.",
    ),
]
Name = Annotated[str | None, typer.Option(metavar="NAME", callback=text_or_none, help="The name at the target.")]
NameOfOne = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", callback=text_or_none, help="The name at the target, for a single FILE."),
]
Existing = Annotated[IfExists, typer.Option(help="What to do if something has a file's name at the target.")]
Wait = Annotated[bool, typer.Option(help="Follow the transfer until it is over.")]


def send(
    targets: Targets,
    files: Files = None,
    name: NameOfOne = None,
    prefix: Prefix = None,
    base: Base = None,
    include: Include = None,
    exclude: Exclude = None,
    hidden: Hidden = None,
    links: LinksOption = None,
    files_from: FilesFrom = None,
    from0: From0 = False,
    manifest: Manifest = None,
    update: Update = False,
    dry_run: DryRun = False,
    if_exists: Existing = IfExists.FAIL,
    if_changed: Annotated[
        IfChanged, typer.Option(help="What to do if FILE changes before all of it is stored.")
    ] = IfChanged.FAIL,
    report: Report = None,
    sha256sums: Sha256Sums = None,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Send files of the server to TARGET and wait until they are delivered.

    All paths are those of the server; relative ones begin at the current directory. Several files, a directory and a
    pattern make a batch, which has one progress and one answer; --prefix and the options for choosing files make a
    batch of a single file, too. A summary is printed at the end, then what failed and what was skipped. The exit code
    is 0 unless something failed, or was skipped without a rule of yours: --exclude, --include, --no-hidden, or
    --links skip.
    """
    options = BatchOptions(
        prefix=prefix,
        base=base,
        include=include,
        exclude=exclude,
        hidden=hidden,
        links=links,
        listed=ListOptions(files_from=files_from, from0=from0, manifest=manifest),
        update=update,
        dry_run=dry_run,
        report=report,
        sha256sums=sha256sums,
    )
    given, targets = files or [], list(dict.fromkeys(targets))
    is_single = len(given) == len(targets) == 1 and not options.any_given
    _require_fitting(options, name, is_single=is_single, wait=wait)
    with exit_codes():
        if is_single:
            destination = DeliverTo(target=targets[0], object_name=name, if_exists=if_exists)
            order = Order(path=path_of(given[0]), destination=destination, if_changed=if_changed)
            if _send_one(order, wait=wait, as_json=as_json):
                return
        batch_order = options.order(given, targets, if_exists=if_exists, if_changed=if_changed)
        with options.listed.opened() as listed:

            def make(client: Client) -> BatchRecord:
                return start(client, batch_order) if listed is None else start_listed(client, batch_order, listed)

            _send_batch(make, options, wait=wait, as_json=as_json)


def deliver(
    record_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            callback=id_of,
            help="The id of a file that is stored, or of one of its deliveries, or an ending that no other id has.",
        ),
    ],
    target: Target,
    name: Name = None,
    if_exists: Existing = IfExists.FAIL,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Deliver a file that is stored to TARGET, and wait until it is delivered.

    The source is not read again. A delivery that FAILED or was CANCELLED begins again, and so does one whose object a
    check found lost; any other that is DELIVERED already is only printed.
    """
    destination = DeliverTo(target=target, object_name=name, if_exists=if_exists)
    with exit_codes():
        if wait:
            with connect(PATIENCE_SECONDS, say) as client:
                file, destination = find_stored(client, record_id, destination)
            delivered = _followed(lambda client, shown: deliver_and_follow(client, file, destination, shown))
            _end(delivered, as_json=as_json)
        else:
            with connect(PATIENCE_SECONDS, say) as client:
                file, destination = find_stored(client, record_id, destination)
                (print_records if as_json else print_queued)(file, queue(client, file, destination))


def _require_fitting(options: BatchOptions, name: str | None, *, is_single: bool, wait: bool) -> None:
    """Raise BadParameter for options that exclude each other."""
    if name is not None and not is_single:
        raise typer.BadParameter("--name names a single file; --prefix comes before the names of several")
    if options.listed.manifest is not None and (options.include or options.exclude or options.hidden is False):
        raise typer.BadParameter(
            "a manifest is sent whole, so --manifest excludes --include, --exclude and --no-hidden"
        )
    if options.papers.wanted and not wait:
        raise typer.BadParameter("--report and --sha256sums are written at the end, and exclude --no-wait")


def _send_one(order: Order, *, wait: bool, as_json: bool) -> bool:
    """Send a single file. Return False, and send nothing, if the path may be one of a directory or a pattern."""
    try:
        if wait:
            transfer = _followed(lambda client, shown: send_and_follow(client, order, shown))
        else:
            with connect(PATIENCE_SECONDS, say) as client:
                transfer = Transfer(file=register(client, order), delivery=None, seen_at=None)
    except ApiError as error:
        if order.destination.object_name is None and may_be_several(order.path, error):
            return False
        raise
    if wait:
        _end(transfer, as_json=as_json)
    else:
        (print_json if as_json else print_registered)(transfer)
    return True


def _send_batch(make: Callable[[Client], BatchRecord], options: BatchOptions, *, wait: bool, as_json: bool) -> None:
    if wait:
        result = follow_batch(make, options.papers)
        end_batch(result, by_rule=options.skipped_by_rule, as_json=as_json)
        return
    with connect(PATIENCE_SECONDS, say) as client:
        batch = make(client)
    (print_made_json if as_json else print_made)(batch)


def _followed(follow: Callable[[Client, Display], Transfer]) -> Transfer:
    with display() as shown, connect(PATIENCE_SECONDS, shown.note) as client:
        return follow(client, shown)


def _end(transfer: Transfer, *, as_json: bool) -> None:
    (print_json if as_json else print_delivered)(transfer)
    leave_unless_delivered(transfer)
