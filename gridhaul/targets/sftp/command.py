"""The command `sha256sum` at the target's server, where the targets file allows it."""

import asyncio
import re
from contextlib import suppress

import asyncssh

from gridhaul.targets.sftp.session import Session

SERVER_BYTES_PER_SECOND = 20 << 20  # the slowest rate at which a server may hash an object
# sh, fish and PowerShell leave these characters in single quotes as they are, but have different rules for others.
_PLAIN = re.compile(r"[A-Za-z0-9/._ +=@,~-]+")
_DIGEST = re.compile(r"\\?([0-9a-f]{64}) [ *]")  # a backslash stands before it if the name has odd characters


async def sha256sum(session: Session, path: str, *, length: int) -> str | None:
    """Return the SHA-256 of the object of `length` bytes, as the command tells it; None if the command fails.

    The command is not run for a path that the shell of the server's user could read as another one. A server
    may allow no commands, or show its commands other folders than it shows SFTP.
    """
    if not _PLAIN.fullmatch(path):
        return None
    command = f"sha256sum -- '{path}'"
    with suppress(asyncssh.Error, OSError, EOFError, ValueError):  # ValueError: what the command writes is no text
        async with asyncio.timeout(session.answer_seconds + length / SERVER_BYTES_PER_SECOND):
            async with session.connection.create_process(command, stdin=asyncssh.DEVNULL) as process:
                found = _DIGEST.match(await process.stdout.readline())
        return found[1] if found else None
    return None
