"""`gridhaul get`: download a stored file, verified, to a file or to stdout."""

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gridhaul.cli import status
from gridhaul.cli.connection import connect, say
from gridhaul.cli.exits import Exit, Interrupted, exit_codes, leave
from gridhaul.cli.get_display import GetDisplay, get_display
from gridhaul.cli.ids import id_of, resolve
from gridhaul.cli.options import Connections, text_or_none
from gridhaul.cli.text import safe, size
from gridhaul.client import Client
from gridhaul.client.partial_file import (
    BytesDiffer,
    DestinationTaken,
    DownloadRunning,
    partial_file,
    partial_path,
    require_free,
)
from gridhaul.client.records import FileRecord, known_length
from gridhaul.transfer.digest import ContentDigest

PATIENCE_SECONDS = 60.0
STDOUT = "-"


def get(
    record_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            callback=id_of,
            help="The id of a file that is stored, or of one of its deliveries, or an ending that no other id has.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            callback=text_or_none,
            help="Where to save the file; - means stdout. Without it: under its name, in the current directory.",
        ),
    ] = None,
    connections: Connections = 4,
    force: Annotated[
        bool, typer.Option("--force", help="Replace FILE if it exists; a link is replaced, not followed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Download a stored file, and verify it as a whole before it gets its name.

    A download that was interrupted goes on where it ended when the same command runs again: what has arrived is kept
    beside FILE, in a file whose name ends with .part. With -o - the bytes go to stdout while they arrive, and only the
    exit code says whether they are right.
    """
    if output == STDOUT and (as_json or force):
        raise typer.BadParameter("with -o - nothing but the file goes to stdout: it excludes --json and --force")
    with exit_codes():
        if output == STDOUT:
            _with_display(lambda client, shown: _write_out(client, record_id, shown, connections=connections))
            return
        with connect(PATIENCE_SECONDS, say) as client:
            file = _stored(client, record_id)
        destination = _destination(file, output)
        _require_usable(destination, force=force)
        _with_display(lambda client, shown: _save(client, file, destination, shown, connections, force=force))
        if as_json:
            typer.echo(json.dumps({"file": file, "path": str(destination)}))
        else:
            proof = f"{file['length']} sha-256={file['digests']['sha-256']}"
            typer.echo(safe(f"SAVED {file['file_id']} {proof} {destination}"))


def _with_display(work: Callable[[Client, GetDisplay], None]) -> None:
    shown: AbstractContextManager[GetDisplay] = get_display()
    with shown as display, connect(PATIENCE_SECONDS, display.note) as client:
        work(client, display)


def _stored(client: Client, record_id: str) -> FileRecord:
    """Return the stored file with the id; exit if it is not stored. The id of a delivery means its file."""
    found, deliveries = status.find(client, resolve(client, record_id))
    file = found or client.file(deliveries[0]["file_id"])
    if file["state"] != "STORED":
        about = f"The file {file['file_id']} is {file['state']}, not STORED: look with `gridhaul status"
        leave(Exit.FAILED, f"ERROR not_stored: {about} {file['file_id']}`.")
    return file


def _destination(file: FileRecord, output: str | None) -> Path:
    """Return where to save the file: by default under the last component of its name, if that is a safe name."""
    if output is not None:
        return Path(output)
    name = file["name"].rpartition("/")[2]
    if name in ("", ".", "..") or not name.isprintable():
        leave(Exit.USAGE, f"gridhaul: {name!r} is no name for a file here; give one with -o FILE")
    return Path(name)


def _require_usable(destination: Path, *, force: bool) -> None:
    """Exit before anything is downloaded, if the destination cannot be taken."""
    try:
        if destination.is_dir():
            leave(Exit.USAGE, f"gridhaul: {destination} is a directory; give the name of a file in it with -o FILE")
        if destination.exists() and not destination.is_file():
            leave(Exit.USAGE, f"gridhaul: {destination} is not a regular file; -o - writes to stdout")
        if not force:
            require_free(destination)
    except DestinationTaken:
        _leave_taken(destination)
    except OSError as error:
        leave(Exit.FAILED, f"gridhaul: {destination} cannot be written: {error.strerror}")


def _save(
    client: Client, file: FileRecord, destination: Path, display: GetDisplay, connections: int, *, force: bool
) -> None:
    sha256 = file["digests"]["sha-256"]
    display.begin(_title(file), known_length(file))
    kept = f"What has arrived is kept in {partial_path(destination, sha256=sha256)}; the same command goes on from it."
    try:
        with partial_file(destination, sha256=sha256) as partial:
            display.show(partial.length)
            for piece in client.downloads.pieces(file, start=partial.length, connections=connections):
                partial.append(piece)
                display.show(partial.length)
            (partial.finish_in_place_of_another if force else partial.finish)(sha256)
    except KeyboardInterrupt:
        raise Interrupted(kept) from None
    except DestinationTaken:
        _leave_taken(destination)
    except DownloadRunning:
        leave(Exit.FAILED, f"gridhaul: another command downloads this file to {destination}")
    except BytesDiffer:
        _leave_differing(file, "What arrived is removed; run the command again.")
    except OSError as error:
        about = f"gridhaul: {destination} cannot be written: {error.strerror}"
        leave(Exit.FAILED, f"{about}. {kept}" if partial_path(destination, sha256=sha256).is_file() else about)


def _write_out(client: Client, record_id: str, display: GetDisplay, *, connections: int) -> None:
    file = _stored(client, record_id)
    display.begin(_title(file), known_length(file))
    digest = ContentDigest()
    for piece in client.downloads.pieces(file, start=0, connections=connections):
        sys.stdout.buffer.write(piece)
        digest.update(piece)
        display.show(digest.length_bytes)
    sys.stdout.buffer.flush()
    if digest.hexdigest() != file["digests"]["sha-256"]:
        _leave_differing(file, "Do not use what went to stdout.")


def _title(file: FileRecord) -> str:
    return f"file {file['file_id']} {file['name']} ({size(known_length(file))})"


def _leave_taken(destination: Path) -> NoReturn:
    leave(Exit.FAILED, f"gridhaul: {destination} exists; give --force to replace it, or another name with -o FILE")


def _leave_differing(file: FileRecord, then: str) -> NoReturn:
    about = f"The bytes that arrived are not those of the file {file['file_id']}"
    leave(Exit.INTEGRITY, f"ERROR content_mismatch: {about}. {then}")
