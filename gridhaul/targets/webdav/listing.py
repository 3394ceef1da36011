"""The entries of a folder at a WebDAV server: one PROPFIND with `Depth: 1` (RFC 4918, 9.1)."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from urllib.parse import unquote, urlsplit

from gridhaul.targets.http_session import BODY_MOST_BYTES, HttpSession
from gridhaul.targets.webdav.multistatus import Entry, entries, paths
from gridhaul.transfer.model import FolderEntry

ASK_FOR_KIND = b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/></prop></propfind>'
ASK_FOR_LENGTH = (
    b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/></prop></propfind>'
)
HEADERS = {"Depth": "1", "Content-Type": "application/xml"}
ENTRY_BYTES = 1024  # as much of an answer as one entry may take on average; a longer answer is given up


async def names_in(session: HttpSession, folder: str) -> AsyncGenerator[str]:
    """Yield the names of the entries in the folder; yield nothing if there is no such folder."""
    own = _path(session, folder)
    async with aclosing(_parts(session, folder, ASK_FOR_KIND)) as parts:
        async for path in paths(parts):
            if path.rstrip("/") != own:
                yield _last(path)


async def entries_in(session: HttpSession, folder: str, *, at_most: int) -> Mapping[str, FolderEntry] | None:
    """Return the entries in the folder by name; None if there are more than `at_most`."""
    own = _path(session, folder)
    most_bytes = at_most * ENTRY_BYTES + BODY_MOST_BYTES
    async with aclosing(_parts(session, folder, ASK_FOR_LENGTH)) as parts:
        try:
            listed = await entries(_bounded(parts, most_bytes))
        except _TooLong:
            return None
    found = {_last(path): _entry(entry) for path, entry in listed.items() if path.rstrip("/") != own}
    return found if len(found) <= at_most else None


def _entry(found: Entry) -> FolderEntry:
    return FolderEntry(is_object=not found.is_folder, length=None if found.is_folder else found.length)


class _TooLong(Exception):
    """The answer is too long to be worth its while."""


async def _bounded(parts: AsyncGenerator[bytes], most_bytes: int) -> AsyncGenerator[bytes]:
    """Yield the parts. Raises _TooLong after `most_bytes`."""
    read_bytes = 0
    async for part in parts:
        read_bytes += len(part)
        if read_bytes > most_bytes:
            raise _TooLong
        yield part


def _parts(session: HttpSession, folder: str, ask: bytes) -> AsyncGenerator[bytes]:
    return session.parts("PROPFIND", f"{session.folder_url(folder)}/", headers=HEADERS, content=ask)


def _path(session: HttpSession, folder: str) -> str:
    return unquote(urlsplit(session.folder_url(folder)).path).rstrip("/")


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
