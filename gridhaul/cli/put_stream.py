"""`gridhaul put -`: send the standard input, whose length nobody knows, in one request."""

import sys
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import cast

from gridhaul.cli.put_display import PutDisplay
from gridhaul.cli.put_files import Outcome
from gridhaul.cli.put_paths import LocalFile
from gridhaul.client import Client
from gridhaul.client.upload_sending import Sent
from gridhaul.transfer.digest import ContentDigest

BLOCK_BYTES = 1 << 18
STDIN = "-"


def send_stdin(client: Client, name: str, targets: Sequence[str], display: PutDisplay) -> Outcome:
    """Send all of the standard input. Raises ClientError."""
    digest = ContentDigest()
    display.begin(f"the standard input as {name}; if this ends early, it cannot go on", None)
    file = client.uploads.put_named(name, _blocks(digest, display), targets)
    local = LocalFile(path=Path(STDIN), name=name, length_bytes=digest.length_bytes)
    return Outcome(local=local, sent=Sent(file=file, sha256=digest.hexdigest()), file=file)


def _blocks(digest: ContentDigest, display: PutDisplay) -> Iterator[bytes]:
    stdin = cast(BufferedReader, sys.stdin.buffer)
    while block := stdin.read1(BLOCK_BYTES):  # what has come, because a pipe may be slow
        digest.update(block)
        yield block
        display.sent(len(block))
