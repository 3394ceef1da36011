"""Reads lists of paths piece by piece, and what lists and manifests share: numbered lines, and files that they name."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from gridhaul.transfer.batches import Skipped
from gridhaul.transfer.errors import ManifestInvalid
from gridhaul.transfer.naming import has_control_characters
from gridhaul.transfer.skipping import SkipReason, is_utf8, shown

LINE_MAX_BYTES = 65_536
SHOWN_MAX_BYTES = 4096  # of a path that is too long


class Separator(Enum):
    """The byte that ends each path of a list."""

    NEWLINE = b"\n"
    NUL = b"\0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One file that a list or a manifest names."""

    line: int  # from 1; in a list that NUL separates, the number of the path
    path: str  # as the text has it: absolute, or relative to a folder that the caller knows
    length: int | None = None  # bytes that the file must have; None: the text does not say
    sha256: str | None = None  # lower-case hex that the file must have; None: the text does not say


def parse_list(chunks: Iterable[bytes], separator: Separator, *, first_line: int = 1) -> Iterator[Listed | Skipped]:
    """Yield the paths of a list. A path that no file can be taken from is yielded as skipped."""
    for line, text in numbered_lines(chunks, separator, first_line=first_line):
        if len(text) > LINE_MAX_BYTES:
            yield _skipped(line, text[:SHOWN_MAX_BYTES], SkipReason.PATH_TOO_LONG, "The path is too long.")
        else:
            yield listed_or_skipped(Listed(line=line, path=decoded(text)))


def numbered_lines(chunks: Iterable[bytes], separator: Separator, *, first_line: int) -> Iterator[tuple[int, bytes]]:
    """Yield each line that is not empty, with its number. A line that is too long is cut, but stays too long."""
    line, kept = first_line, b""
    for chunk in chunks:
        *ended, rest = chunk.split(separator.value)
        for text in ended:
            yield from _line(line, kept + text, separator)
            line, kept = line + 1, b""
        kept = (kept + rest)[: LINE_MAX_BYTES + 1]
    yield from _line(line, kept, separator)


def _line(line: int, text: bytes, separator: Separator) -> Iterator[tuple[int, bytes]]:
    if separator is Separator.NEWLINE:
        text = text.removesuffix(b"\r")  # the line ends as on Windows: no path that is taken holds a control character
    if text:
        yield line, text[: LINE_MAX_BYTES + 1]


def of_bounded_length(line: int, text: bytes) -> bytes:
    """Return the text of the line. Raises ManifestInvalid if it is too long."""
    if len(text) > LINE_MAX_BYTES:
        raise ManifestInvalid(f"Line {line} has more than {LINE_MAX_BYTES} bytes.")
    return text


def decoded(text: bytes) -> str:
    """Return the text as `os.fsdecode` gives paths: bytes that are not UTF-8 stay distinct."""
    return text.decode("utf-8", "surrogateescape")


def listed_or_skipped(listed: Listed) -> Listed | Skipped:
    """Return the file, or why no file can be taken from its path."""
    if not is_utf8(listed.path):
        return _skipped(listed.line, listed.path, SkipReason.NOT_UTF8, "The path is not UTF-8.")
    if has_control_characters(listed.path):
        return _skipped(listed.line, listed.path, SkipReason.CONTROL_CHARACTERS, "The path holds control characters.")
    return listed


def _skipped(line: int, path: str | bytes, reason: SkipReason, detail: str) -> Skipped:
    text = path if isinstance(path, str) else decoded(path)
    return Skipped(path=shown(text), reason=reason, detail=f"Line {line}: {detail}")
