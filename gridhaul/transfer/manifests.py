"""Reads and writes `SHA256SUMS` texts, in the form of GNU and in that of BSD, line by line."""

import re
from collections.abc import Iterable, Iterator

from gridhaul.transfer.batches import Skipped
from gridhaul.transfer.digest import ContentDigest
from gridhaul.transfer.errors import ManifestInvalid
from gridhaul.transfer.listed import (
    Listed,
    Separator,
    decoded,
    listed_or_skipped,
    numbered_lines,
    of_bounded_length,
)

_HEX = "[0-9a-fA-F]{64}"
_GNU = re.compile(rf"(?P<escaped>\\?)(?P<sha256>{_HEX}) [ *](?P<path>.+)", re.DOTALL)
_BSD = re.compile(rf"(?P<escaped>\\?)SHA256 \((?P<path>.+)\) = (?P<sha256>{_HEX})", re.DOTALL)
_HERE = re.compile(r"^(?:\./+)+")  # `find . | xargs sha256sum` writes it before every name
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_UNESCAPED = {"\\": "\\", "n": "\n", "r": "\r"}
_ESCAPED = str.maketrans({plain: f"\\{escaped}" for escaped, plain in _UNESCAPED.items()})


def parse_sha256sums(chunks: Iterable[bytes], *, first_line: int = 1) -> Iterator[Listed | Skipped]:
    """Yield the files of a `SHA256SUMS` text, in the form of GNU or of BSD (`sha256sum --tag`).

    Empty lines and lines that begin with `#` are passed over, as `sha256sum -c` does. Raises ManifestInvalid with the
    number of the line. A path that no file can be taken from is yielded as skipped.
    """
    for line, text in numbered_lines(chunks, Separator.NEWLINE, first_line=first_line):
        if not text.startswith(b"#"):
            yield listed_or_skipped(_of_sums(line, decoded(of_bounded_length(line, text))))


def write_sha256sums(name: str, digest: str) -> str:
    """Return the line, with its line break, that `sha256sum -c` checks. `digest` is lower-case hex."""
    escaped = name.translate(_ESCAPED)
    mark = "\\" if escaped != name else ""
    return f"{mark}{digest}  {'./-' if name == '-' else escaped}\n"  # `-` alone would name the standard input


class SumsDigest:
    """Computes the SHA-256 of a `SHA256SUMS` text whose lines are added in the byte order of their names."""

    def __init__(self) -> None:
        self._total = ContentDigest()
        self._last = b""

    def add(self, name: str, digest: str) -> None:
        """Append the line. Raises ValueError unless the name comes after the one before it."""
        encoded = name.encode()
        if encoded <= self._last:
            raise ValueError("The names of the lines must be added in their byte order.")
        self._last = encoded
        self._total.update(write_sha256sums(name, digest).encode())

    def hexdigest(self) -> str:
        """Return the SHA-256 of all lines so far, as lower-case hex."""
        return self._total.hexdigest()


def _of_sums(line: int, text: str) -> Listed:
    found = _GNU.fullmatch(text) or _BSD.fullmatch(text)
    if found is None or not _HERE.sub("", found["path"]):
        raise ManifestInvalid(f"Line {line} is no line of SHA256SUMS: a digest of 64 hex digits and a name.")
    path = _ESCAPE.sub(lambda escape: _unescaped(line, escape[1]), found["path"]) if found["escaped"] else found["path"]
    return Listed(line=line, path=_HERE.sub("", path), sha256=found["sha256"].lower())


def _unescaped(line: int, character: str) -> str:
    if character not in _UNESCAPED:
        raise ManifestInvalid(f"Line {line} has a backslash before something else than a backslash, n or r.")
    return _UNESCAPED[character]
