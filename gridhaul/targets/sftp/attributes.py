"""Attributes of sources that objects at an SFTP server get: the mtime, and the mode if a setting asks for it."""

import stat
from contextlib import suppress

import asyncssh

from gridhaul.targets.attributes import PERMISSIONS
from gridhaul.targets.sftp.session import Session
from gridhaul.transfer.origins import Attributes

SECOND_NS = 10**9
END_OF_TIME = 1 << 32  # SFTP 3 has seconds of 32 bits
PRIVATE = 0o600


def made_with(attributes: Attributes | None) -> asyncssh.SFTPAttrs:
    """Return the attributes that a new file is made with.

    A file that gets the mode of its source is private until then, because the source's mode may exclude readers whom
    the server's usual mode lets in.
    """
    if attributes is None or attributes.mode is None:
        return asyncssh.SFTPAttrs()
    return asyncssh.SFTPAttrs(permissions=PRIVATE)


async def give_attributes(session: Session, file: asyncssh.SFTPClientFile, attributes: Attributes) -> None:
    """Give the open file the attributes, unless the server does not keep them.

    A mode that takes reading from the owner is left out: the worker, which is the owner, has to read the object back.
    """
    with suppress(asyncssh.SFTPError):
        seconds = attributes.mtime_ns // SECOND_NS
        if 0 <= seconds < END_OF_TIME:
            await session.ask(file.setstat(asyncssh.SFTPAttrs(atime=seconds, mtime=seconds)))
    with suppress(asyncssh.SFTPError):
        if attributes.mode is not None and attributes.mode & stat.S_IRUSR:
            await session.ask(file.setstat(asyncssh.SFTPAttrs(permissions=attributes.mode & PERMISSIONS)))


def attributes_of(found: asyncssh.SFTPAttrs) -> Attributes | None:
    """Return the attributes that an object has; None if the server does not tell its mtime."""
    if found.mtime is None:
        return None
    mode = None if found.permissions is None else stat.S_IMODE(found.permissions)
    return Attributes(mtime_ns=found.mtime * SECOND_NS + (found.mtime_ns or 0), mode=mode)
