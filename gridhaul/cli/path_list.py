"""The options of `gridhaul send` that name a list of paths or a manifest, and the text that they lead to."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, Annotated

import typer

from gridhaul.client.batch_records import BatchRecord
from gridhaul.transfer.lists import ListFormat

STDIN = "-"
PEEKED_BYTES = 65_536

FilesFrom = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Read the paths from LIST instead of FILE, one a line; - means stdin. Relative ones keep their folders in "
        "their names.",
    ),
]
From0 = Annotated[bool, typer.Option("--from0", help="In LIST, NUL separates the paths, as find -print0 writes them.")]
Manifest = Annotated[
    str | None,
    typer.Option(
        metavar="SUMS",
        help="Send the files that SUMS names, instead of FILE, and only if their bytes are as SUMS says: lines of "
        "sha256sum, or of JSON with path, length and sha256; - means stdin.",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class PathList:
    """A text with a list of paths, or with a manifest."""

    stream: IO[bytes]
    format: ListFormat


@dataclass(frozen=True, kw_only=True, slots=True)
class ListOptions:
    """The options that name a text with a list of paths, or with a manifest, as they were given."""

    files_from: str | None
    from0: bool
    manifest: str | None

    @property
    def any_given(self) -> bool:
        return self.files_from is not None or self.from0 or self.manifest is not None

    def require_fitting(self, files: Sequence[str]) -> None:
        """Raise BadParameter for options that exclude each other, or FILE."""
        if self.from0 and self.files_from is None:
            raise typer.BadParameter("--from0 says how --files-from is separated, and needs it")
        if self.files_from is not None and self.manifest is not None:
            raise typer.BadParameter("--files-from and --manifest exclude each other")
        if files and (self.files_from is not None or self.manifest is not None):
            raise typer.BadParameter("--files-from and --manifest stand for FILE; give either")

    @contextmanager
    def opened(self) -> Iterator[PathList | None]:
        """Yield the text, which can be read more than once; None if no option names one. Raises BadParameter."""
        if self.files_from is not None:
            list_format = ListFormat.PATHS0 if self.from0 else ListFormat.PATHS
            with _opened("--files-from", self.files_from) as stream:
                yield PathList(stream=stream, format=list_format)
        elif self.manifest is not None:
            with _opened("--manifest", self.manifest) as stream:
                yield PathList(stream=stream, format=_manifest_format(stream))
        else:
            yield None


def sources_of(batch: BatchRecord) -> list[str]:
    """Return the paths of a batch, or the words for its list."""
    return batch["paths"] or [f"list {batch['list_id']}"]


@contextmanager
def _opened(option: str, name: str) -> Iterator[IO[bytes]]:
    with TemporaryFile() as held:
        try:
            if name == STDIN:
                copyfileobj(sys.stdin.buffer, held)
            else:
                with Path(name).open("rb") as file:
                    copyfileobj(file, held)
        except OSError as error:
            raise typer.BadParameter(f"{option} {name} cannot be read: {error.strerror}") from None
        if not held.tell():
            raise typer.BadParameter(f"there is no path to send: {option} {name} is empty")
        yield held


def _manifest_format(stream: IO[bytes]) -> ListFormat:
    """Return the format by the first character that is no space: only JSON begins with a brace."""
    stream.seek(0)
    return ListFormat.JSONL if stream.read(PEEKED_BYTES).lstrip().startswith(b"{") else ListFormat.SHA256SUMS
