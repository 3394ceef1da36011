"""Objects and folders beneath the top of an SFTP target: paths, looks, removing and making."""

import posixpath
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar, cast

import asyncssh
from asyncssh import FILEXFER_TYPE_DIRECTORY, FILEXFER_TYPE_REGULAR, FILEXFER_TYPE_UNKNOWN, FXF_READ

from gridhaul.targets.names import split_name
from gridhaul.targets.sftp.connection import Connection
from gridhaul.targets.sftp.errors import GONE, mapped_errors
from gridhaul.targets.sftp.session import Session
from gridhaul.transfer.errors import NotAnObject, TargetRefused, TargetUnavailable

T = TypeVar("T")

# SFTP 3 tells the type only as a part of the permissions, which a server may leave out.
OBJECT_TYPES = frozenset({FILEXFER_TYPE_REGULAR, FILEXFER_TYPE_UNKNOWN})


class Remote:
    """Looks at what the server holds. Names are those of the target; the name "" is its top."""

    def __init__(self, connection: Connection, *, root: str) -> None:
        self.root = root
        self.syncs_folders = False
        self._connection = connection

    def path(self, name: str) -> str:
        """Return the name's path at the server. Raises TargetRefused if the name could lead out of the target."""
        if not name:
            return self.root
        split_name(name)
        return posixpath.join(self.root, name)

    async def session(self) -> Session:
        """Return the session that all requests share."""
        return await self._connection.session()

    async def ask(self, asking: Callable[[asyncssh.SFTPClient], Awaitable[T]]) -> T:
        """Make a request and return its answer. Raises as `Session.ask` does, also SFTPError."""
        session = await self.session()
        return await session.ask(asking(session.sftp))

    async def look(self, name: str) -> asyncssh.SFTPAttrs | None:
        """Return the attributes of what has the name, be it a link; None if nothing has the name."""
        path = self.path(name)
        with mapped_errors():
            try:
                return await self.ask(lambda sftp: sftp.lstat(path))
            except GONE:
                return None

    async def look_for_object(self, name: str) -> asyncssh.SFTPAttrs | None:
        """Return the object's attributes; None if nothing has the name. Raises NotAnObject."""
        found = await self.look(name)
        if found is not None and found.type not in OBJECT_TYPES:
            raise NotAnObject("Under this name the target has a folder, a link or something else that is no file.")
        return found

    async def remove(self, name: str) -> None:
        """Remove the object, if it is there. Some servers would remove a folder as well, so this looks first."""
        if await self.look_for_object(name) is None:
            return
        path = self.path(name)
        with mapped_errors():
            try:
                await self.ask(lambda sftp: sftp.remove(path))
            except GONE:
                return

    async def require_top(self) -> None:
        """Raise TargetUnavailable if the target's folder is not there, and TargetRefused if it is no folder."""
        with mapped_errors():
            try:
                top = await self.ask(lambda sftp: sftp.stat(self.root))
            except GONE:
                raise TargetUnavailable(
                    "The target's server has no folder at the target's path; make it there, or correct the path."
                ) from None
        if top.type not in (FILEXFER_TYPE_DIRECTORY, FILEXFER_TYPE_UNKNOWN):
            raise TargetRefused("The target's path is no folder at its server; correct the path.")

    async def make_folders(self, name: str) -> None:
        """Make the folders of the name that are missing. Raises TargetRefused if a file stands in their way."""
        await self.require_top()
        folders, _ = split_name(name)
        above = ""
        for folder in folders:
            made = posixpath.join(above, folder)
            await self._make_folder(made)
            above = made

    async def sync_folder(self, folder: str) -> None:
        """Flush the names in the folder to the server's disk, if the server can do that."""
        if not self.syncs_folders:
            return
        path = self.path(folder)
        session = await self.session()
        with mapped_errors():
            opened = await session.ask(session.sftp.open(path, FXF_READ, encoding=None))
            try:
                await session.ask(opened.fsync())
            finally:
                session.close_later(opened)

    async def names(self, folder: str) -> AsyncGenerator[str]:
        """Yield the names in the folder, as the server tells them page by page; none if there is no folder.

        Names that are not UTF-8 are left out, because no object of Gridhaul has such a name.
        """
        path = self.path(folder)
        session = await self.session()
        async with aclosing(cast(AsyncGenerator[asyncssh.SFTPName], session.sftp.scandir(path))) as entries:
            while True:
                with mapped_errors():
                    try:
                        entry = await session.ask(anext(entries, None))
                    except GONE:
                        return
                if entry is None:
                    return
                name = str(entry.filename)
                if name not in (".", "..") and _is_text(name):
                    yield name

    async def _make_folder(self, folder: str) -> None:
        path = self.path(folder)
        try:
            await self.ask(lambda sftp: sftp.mkdir(path))
        except asyncssh.SFTPError as error:  # the answer to a folder that is there is the same as to a full disk
            with mapped_errors():
                await self._require_folder(folder, error)
        else:
            await self.sync_folder(posixpath.dirname(folder))

    async def _require_folder(self, folder: str, refusal: asyncssh.SFTPError) -> None:
        """Raise the refusal if nothing has the folder's name, and TargetRefused if something else than a folder has."""
        path = self.path(folder)
        try:
            found = await self.ask(lambda sftp: sftp.stat(path))
        except asyncssh.SFTPError:
            raise refusal from None
        if found.type not in (FILEXFER_TYPE_DIRECTORY, FILEXFER_TYPE_UNKNOWN):
            raise TargetRefused(
                f"The target has a file under {folder!r}, where a folder is needed; choose another name."
            )


def _is_text(name: str) -> bool:
    """Return whether the name was UTF-8 at the server. Other bytes became surrogates when it was decoded."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
