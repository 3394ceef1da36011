"""`gridhaul put`: upload files of this machine, resumable, and follow them until they are stored or delivered."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from gridhaul.cli.batch_options import Prefix, Sha256Sums
from gridhaul.cli.connection import connect
from gridhaul.cli.exits import Exit, exit_codes, leave
from gridhaul.cli.options import Connections, Json, text_or_none, texts_of
from gridhaul.cli.put_display import PutDisplay, put_display
from gridhaul.cli.put_files import Outcome, PutOptions, Putting
from gridhaul.cli.put_following import follow
from gridhaul.cli.put_paths import LocalFile, LocalSkip, find, named
from gridhaul.cli.put_result import PutResult, leave_unless_good, print_json, print_text, write_sums
from gridhaul.cli.put_stream import STDIN, send_stdin
from gridhaul.cli.send import saying_how_to_look_again
from gridhaul.cli.text import counted, size
from gridhaul.client import Client
from gridhaul.client.upload_state import UploadNotes
from gridhaul.process.settings import CommandSettings, state_directory
from gridhaul.transfer.errors import InvalidValue
from gridhaul.transfer.naming import check_object_name

PATIENCE_SECONDS = 600.0
KEPT = "What is stored is kept; the same command goes on from there."
LOST = (
    "The standard input cannot go on, and must be sent from its start again. If all of it had arrived, the file is "
    "stored all the same: look with `gridhaul ls` first."
)


Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        callback=texts_of,
        help="Files and directories of this machine; - means the standard input. A directory keeps its name in the "
        "names of its files, unless its path ends with /.",
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--to",
        metavar="TARGET",
        callback=texts_of,
        help="Deliver each file to this target once it is stored. Repeatable.",
    ),
]
Name = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", callback=text_or_none, help="The name of a single FILE on the server."),
]
Resume = Annotated[
    bool, typer.Option("--resume/--no-resume", help="Go on with what an earlier command has begun, or begin anew.")
]


def put(
    files: Files,
    targets: Targets = None,
    name: Name = None,
    prefix: Prefix = None,
    connections: Connections = 4,
    resume: Resume = True,
    sha256sums: Sha256Sums = None,
    as_json: Json = False,
) -> None:
    """Upload files of this machine, and wait until they are stored, and with --to until they are delivered.

    An upload continues after every interruption: after a lost connection or a restart of the server by itself, after a
    Ctrl-C or a crash when the same command runs again. Nothing that is stored is sent twice. A file that changes
    meanwhile is refused, and sent anew by the next command. The standard input needs --name, may pause for at most
    30 s, and cannot go on when it was interrupted.
    """
    wanted = tuple(dict.fromkeys(targets or ()))
    _require_fitting(files, name, prefix)
    with exit_codes():
        began = time.monotonic()
        if files == [STDIN]:
            outcomes, skipped, is_single = [_put_stdin(name or "", wanted)], list[LocalSkip](), True
        else:
            found, skipped = named(files[0], name) if name is not None else find(files, prefix=prefix)
            is_single = len(files) == len(found) == 1 and not skipped and not Path(files[0]).is_dir()
            outcomes = _put_files(found, wanted, connections=connections, resume=resume) if found else []
        result = PutResult(outcomes=outcomes, skipped=skipped, is_single=is_single, seconds=time.monotonic() - began)
        if sha256sums is not None:
            write_sums(result, sha256sums)
        (print_json if as_json else print_text)(result)
        leave_unless_good(result)


def _require_fitting(files: list[str], name: str | None, prefix: str | None) -> None:
    """Raise BadParameter for arguments that exclude each other."""
    if STDIN in files and (len(files) > 1 or name is None or prefix is not None):
        raise typer.BadParameter("the standard input goes alone, and needs --name without --prefix")
    if name is None:
        return
    if len(files) > 1 or prefix is not None:
        raise typer.BadParameter("--name names a single file; --prefix comes before the names of several")
    try:
        check_object_name(name)
    except InvalidValue as error:
        raise typer.BadParameter(f"--name: {error.detail}") from None


def _put_stdin(name: str, targets: tuple[str, ...]) -> Outcome:
    def send(client: Client, display: PutDisplay) -> list[Outcome]:
        return [send_stdin(client, name, targets, display)]

    return _followed(send, targets, LOST)[0]


def _put_files(files: list[LocalFile], targets: tuple[str, ...], *, connections: int, resume: bool) -> list[Outcome]:
    notes = _notes()

    def send(client: Client, display: PutDisplay) -> list[Outcome]:
        whose = {"url": CommandSettings().url, "account": client.accounts.own()["username"]}
        options = PutOptions(targets=targets, connections=connections, resume=resume, whose=whose)
        length = sum(local.length_bytes for local in files)
        title = files[0].name if len(files) == 1 else counted(len(files), "file")
        display.begin(f"{title} ({size(length)})", length)
        return Putting(client, notes, options, display).send(files)

    outcomes = _followed(send, targets, KEPT)
    if not any(outcome.error for outcome in outcomes):
        for outcome in outcomes:
            outcome.forget()
    return outcomes


def _followed(
    send: Callable[[Client, PutDisplay], list[Outcome]], targets: tuple[str, ...], advice: str
) -> list[Outcome]:
    with put_display() as display, connect(PATIENCE_SECONDS, display.note) as client:
        with saying_how_to_look_again(advice, display):
            outcomes = send(client, display)
        sent = [outcome.file["file_id"] for outcome in outcomes if outcome.file]
        look = f"gridhaul status {sent[0]}" if len(sent) == 1 else "gridhaul ls"
        with saying_how_to_look_again(f"The server goes on; look with: {look}", display):
            follow(client, outcomes, targets, display)
    return outcomes


def _notes() -> UploadNotes:
    """Return the notes of uploads. Exits if they cannot be kept, because nothing could go on without them."""
    directory = state_directory() / "uploads"
    try:
        return UploadNotes(directory)
    except OSError as error:
        about = f"gridhaul: {directory}, where it is noted how far uploads have come, cannot be written"
        leave(Exit.FAILED, f"{about}: {error.strerror}; name another place by XDG_STATE_HOME")
