"""Opening the file of a stage, which an earlier attempt may have made."""

import asyncssh
from asyncssh import FXF_CREAT, FXF_EXCL, FXF_WRITE

from gridhaul.targets.sftp.errors import GONE
from gridhaul.targets.sftp.remote import Remote
from gridhaul.targets.sftp.session import Session
from gridhaul.transfer.errors import NotFound
from gridhaul.transfer.model import Stage


class StageFile:
    """The file of one stage. Its methods raise SFTPError if the server refuses to open it."""

    def __init__(self, remote: Remote, session: Session, stage: Stage) -> None:
        self._remote = remote
        self._session = session
        self._stage = stage

    async def open(self, attributes: asyncssh.SFTPAttrs, *, opens_new: bool) -> asyncssh.SFTPClientFile:
        """Open the file. Unless bytes of it are confirmed, make it with the attributes if it is not there.

        `opens_new` tells whether the server refuses to make a file under a name that is taken.
        Raises NotFound if confirmed bytes are gone, and NotAnObject.
        """
        if self._stage.offset:
            try:
                return await self._opened(FXF_WRITE, attributes)
            except GONE:
                raise gone() from None
        try:
            return await self._made(attributes, opens_new=opens_new)
        except GONE:
            await self._remote.make_folders(self._stage.name)
            return await self._made(attributes, opens_new=opens_new)

    async def _made(self, attributes: asyncssh.SFTPAttrs, *, opens_new: bool) -> asyncssh.SFTPClientFile:
        """Open the file, which is made if it is not there. A link under its name could lead to somebody else's file."""
        if opens_new:
            try:
                return await self._opened(FXF_WRITE | FXF_CREAT | FXF_EXCL, attributes)
            except GONE:
                raise
            except asyncssh.SFTPError:  # servers have several codes for a name that is taken
                pass
        await self._remote.look_for_object(self._stage.name)
        return await self._opened(FXF_WRITE | FXF_CREAT, attributes)

    async def _opened(self, flags: int, attributes: asyncssh.SFTPAttrs) -> asyncssh.SFTPClientFile:
        path = self._remote.path(self._stage.name)
        opening = self._session.sftp.open(path, flags, attributes, encoding=None, block_size=None)
        return await self._session.ask(opening)


def gone() -> NotFound:
    return NotFound("The temporary object is no longer at the target.")
