"""Lists and manifests that clients send as text: their formats, and the pages in which they are stored and read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gridhaul.transfer.batches import Skipped
from gridhaul.transfer.json_lines import parse_json_lines
from gridhaul.transfer.listed import LINE_MAX_BYTES, Listed, Separator, parse_list
from gridhaul.transfer.manifests import parse_sha256sums
from gridhaul.transfer.model import RecordId

LIST_MAX_BYTES = 1 << 30
PAGE_BYTES = 1 << 20  # a page ends with the first line that ends after so many bytes
UNUSED_LISTS_AT_MOST = 10  # of one account


class ListFormat(StrEnum):
    """The format of a list's text."""

    PATHS = "paths"  # a path a line
    PATHS0 = "paths0"  # paths that NUL separates
    SHA256SUMS = "sha256sums"  # a manifest as `sha256sum` writes it, in the form of GNU or of BSD
    JSONL = "jsonl"  # a manifest in JSON Lines: path, length, sha256

    @property
    def is_manifest(self) -> bool:
        """Whether each entry is one file, whose bytes the text may name."""
        return self in (ListFormat.SHA256SUMS, ListFormat.JSONL)

    @property
    def separator(self) -> Separator:
        return Separator.NUL if self is ListFormat.PATHS0 else Separator.NEWLINE


@dataclass(frozen=True, kw_only=True, slots=True)
class ListPage:
    """Some lines of a list that follow each other. No line lies in two pages."""

    first_line: int  # the number of the first line, from 1
    text: bytes

    def entries(self, list_format: ListFormat) -> Iterator[Listed | Skipped]:
        """Yield what the lines name. Raises ManifestInvalid with the number of the line."""
        if list_format is ListFormat.SHA256SUMS:
            return parse_sha256sums([self.text], first_line=self.first_line)
        if list_format is ListFormat.JSONL:
            return parse_json_lines([self.text], first_line=self.first_line)
        return parse_list([self.text], list_format.separator, first_line=self.first_line)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewList:
    """A list whose pages are stored. The fields mean what they mean in `PathList`."""

    owner: str
    format: ListFormat
    length: int
    entries: int
    relative: int
    pages: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PathList:
    """A list or a manifest that a client has sent, as a source of batches."""

    id: RecordId
    owner: str  # the username of the account that sent the list
    format: ListFormat
    length: int  # bytes of the text
    entries: int  # lines that name a path
    relative: int  # of these, the entries whose path is relative
    pages: int
    created_at: datetime
    expires_at: datetime | None = None  # when the list goes away by itself; None: a batch uses it


class Pages:
    """Cuts a text into pages at the ends of lines, and counts what the pages name. Its memory does not grow."""

    def __init__(self, list_format: ListFormat) -> None:
        self._format = list_format
        self._separator = list_format.separator.value
        self._rest = b""
        self._next_line = 1
        self.entries = 0
        self.relative = 0

    def add(self, part: bytes) -> ListPage | None:
        """Take the next part of the text, and return the page of the lines that have ended; None if none has.

        Raises ManifestInvalid.
        """
        ended, separator, rest = part.rpartition(self._separator)
        # A line that is too long is cut, but stays too long.
        page = self._page(self._rest + ended + separator) if separator else None
        self._rest = (rest if separator else self._rest + part)[: LINE_MAX_BYTES + 1]
        return page

    def end(self) -> ListPage | None:
        """Return the page of the last line, if no separator has ended it. Raises ManifestInvalid."""
        return self._page(self._rest) if self._rest else None

    def _page(self, text: bytes) -> ListPage:
        page = ListPage(first_line=self._next_line, text=text)
        self._next_line += text.count(self._separator)
        for entry in page.entries(self._format):
            self.entries += 1
            self.relative += isinstance(entry, Listed) and not entry.path.startswith("/")
        return page
