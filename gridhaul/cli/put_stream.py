"""`gridhaul put -`: send the standard input, whose length nobody knows, in one request."""

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BufferedReader, UnsupportedOperation
from typing import cast

from gridhaul.cli.exits import Exit
from gridhaul.cli.put_display import PutDisplay
from gridhaul.cli.put_files import Outcome
from gridhaul.client import Client
from gridhaul.client.upload_sending import Sent
from gridhaul.transfer import errors
from gridhaul.transfer.digest import ContentDigest

BLOCK_BYTES = 1 << 18
STDIN = "-"


def send_stdin(client: Client, name: str, targets: Sequence[str], display: PutDisplay) -> Outcome:
    """Send all of the standard input. Raises ClientError."""
    digest = ContentDigest()
    display.begin(f"the standard input as {name}; if this ends early, it cannot go on", None)
    outcome = Outcome(path=STDIN, name=name)
    try:
        file = client.uploads.put_named(name, _blocks(_stdin(), digest, display), targets)
    except OSError as error:  # of the standard input: those of the connection have become ClientErrors
        detail = f"The standard input cannot be read: {error.strerror}."
        outcome.fail(errors.SourceUnreadable.code, detail, Exit.FAILED)
    else:
        outcome.sent, outcome.file = Sent(file=file, sha256=digest.hexdigest()), file
    return outcome


def _stdin() -> BufferedReader:
    """Return the standard input, whose reads wait for bytes. Raises OSError.

    A program that had it before may have left it in the mode in which a read that finds no bytes returns at once. That
    would look like the end.
    """
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    with suppress(UnsupportedOperation):  # it is no file of the system, as in a test
        os.set_blocking(sys.stdin.fileno(), True)
    return cast(BufferedReader, sys.stdin.buffer)


def _blocks(stdin: BufferedReader, digest: ContentDigest, display: PutDisplay) -> Iterator[bytes]:
    while block := stdin.read1(BLOCK_BYTES):  # what has come, because a pipe may be slow
        digest.update(block)
        yield block
        display.sent(len(block))
