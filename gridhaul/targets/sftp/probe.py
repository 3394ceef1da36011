"""The probe of an SFTP server: small objects show each fact, because servers announce requests that they refuse."""

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from itertools import chain
from typing import Any, TypeVar

import asyncssh
from asyncssh import FXF_CREAT, FXF_EXCL, FXF_READ, FXF_TRUNC, FXF_WRITE

from gridhaul.targets.oddities import Oddity
from gridhaul.targets.probing import cleared_at_the_end
from gridhaul.targets.sftp.command import sha256sum
from gridhaul.targets.sftp.errors import mapped_errors
from gridhaul.targets.sftp.facts import NameRequest, ReplaceRequest, SftpFacts
from gridhaul.targets.sftp.naming import give_name
from gridhaul.targets.sftp.oddities import SFTP_ODDITIES
from gridhaul.targets.sftp.remote import Remote
from gridhaul.transfer.digest import content_sha256
from gridhaul.transfer.errors import TargetRefused, TargetUnavailable
from gridhaul.transfer.ports.targets import BeforeWriting

T = TypeVar("T")

CONTENT = b"Gridhaul wrote this file to find out what the server does. It may be removed.\n"
OTHER = CONTENT[:-20]  # of another length, so that a look tells the two apart
FIRST_PART, LATER_BYTE = len(CONTENT) // 2, len(CONTENT) // 3

UNANNOUNCED_BYTES = 16 << 10  # what asyncssh takes for the limit of a server that announces none
LARGE_BLOCK_BYTES = 255 << 10  # the limit of OpenSSH, which other servers take, too
SAFE_BLOCK_BYTES = 32 << 10  # every server takes it (draft-ietf-secsh-filexfer-02, section 3)
BLOCK_MOST_BYTES = 1 << 20


class Probe:
    """One probe of one server. The names of its objects begin with `scratch`."""

    def __init__(self, remote: Remote, *, scratch: str, remote_command: bool) -> None:
        self._remote = remote
        self._remote_command = remote_command
        self._first, self._second, self._third = (f"{scratch}{letter}" for letter in "abc")
        self._odd = {
            oddity.label: _examples(f"{scratch}{number}", oddity) for number, oddity in enumerate(SFTP_ODDITIES)
        }

    async def run(self, before_writing: BeforeWriting) -> SftpFacts:
        """Return the facts. Raises TargetRefused if the server cannot rename an object."""
        await self._remote.require_top()
        await before_writing()
        async with cleared_at_the_end(self.clear):
            return await self._try_all()

    async def clear(self) -> None:
        """Remove every object that a probe with this scratch may have written."""
        plain = [self._first, self._second, self._third]
        odd = filter(None, chain.from_iterable(self._odd.values()))
        await _together([*map(self._remote.remove, plain), *map(self._remove_odd, odd)])

    async def _remove_odd(self, name: str) -> None:
        """Remove the object, unless the server has no object of this name or does not accept the name."""
        if await self._size(name) is not None:
            await self._remote.remove(name)

    async def _try_all(self) -> SftpFacts:
        write_bytes, read_bytes = await self._most_bytes()
        session = await self._remote.session()
        return SftpFacts(
            server=session.server_version,
            write_bytes=write_bytes,
            read_bytes=read_bytes,
            writes_inside=await self._writes_inside(),
            opens_new=await self._opens_new(),
            naming=await self._naming(),
            replacing=await self._replacing(),
            syncs=await self._syncs(self._first, FXF_WRITE),
            syncs_folders=await self._syncs("", FXF_READ),
            tells_room=await self._does(session.ask(session.sftp.statvfs(self._remote.root))),
            hashes=self._remote_command and await self._hashes(),
            lost=await self._lost(),
        )

    async def _most_bytes(self) -> tuple[int, int]:
        """Return how much the server takes and gives at once: as it announces, or as large requests show."""
        limits = (await self._remote.session()).sftp.limits
        if limits.max_write_len != UNANNOUNCED_BYTES:
            return min(limits.max_write_len, BLOCK_MOST_BYTES), min(limits.max_read_len, BLOCK_MOST_BYTES)
        try:
            if await self._does(self._write(self._first, bytes(LARGE_BLOCK_BYTES))):
                given = len(await self._read(self._first, LARGE_BLOCK_BYTES))
                if given and await self._size(self._first) == LARGE_BLOCK_BYTES:
                    return LARGE_BLOCK_BYTES, given
        except TargetUnavailable:  # some servers end the session at a large request
            await self._remote.require_top()
        return SAFE_BLOCK_BYTES, SAFE_BLOCK_BYTES

    async def _writes_inside(self) -> bool:
        """Return whether a later attempt can write bytes again that are there, and go on behind them."""
        await self._put(self._first, CONTENT[:FIRST_PART])
        later = self._write(self._first, CONTENT[LATER_BYTE:], start=LATER_BYTE, flags=FXF_WRITE)
        return await self._does(later) and await self._read(self._first, 2 * len(CONTENT)) == CONTENT

    async def _opens_new(self) -> bool:
        """Return whether the server makes a file under a free name, but leaves alone what has a taken one."""
        flags = FXF_WRITE | FXF_CREAT | FXF_EXCL
        await self._put_two()
        if await self._does(self._write(self._first, CONTENT, flags=flags)):
            return False
        if await self._sizes() != (len(OTHER), len(CONTENT)):
            return False
        await self._remote.remove(self._first)
        made = await self._does(self._write(self._first, CONTENT, flags=flags))
        return made and await self._size(self._first) == len(CONTENT)

    async def _naming(self) -> NameRequest:
        """Return a request that gives a free name, and leaves both objects alone if the name is taken."""
        if await self._refuses_taken_name("link") and await self._gives_free_name("link"):
            return "link"
        refuses = await self._refuses_taken_name("rename")
        if not await self._gives_free_name("rename"):
            raise TargetRefused("The target's server cannot rename an object, which deliveries need.")
        return "rename" if refuses else "none"

    async def _replacing(self) -> ReplaceRequest:
        """Return a request that replaces an object by another one in one step."""
        for request in ("posix-rename", "rename"):
            await self._put_two()
            replaced = await self._does(give_name(self._remote, request, self._first, self._second))
            if replaced and await self._sizes() == (None, len(OTHER)):
                return request
        return "remove"

    async def _refuses_taken_name(self, request: str) -> bool:
        await self._put_two()
        taken = await self._does(give_name(self._remote, request, self._first, self._second))
        return not taken and await self._sizes() == (len(OTHER), len(CONTENT))

    async def _gives_free_name(self, request: str) -> bool:
        await self._put_two()
        await self._remote.remove(self._third)
        given = await self._does(give_name(self._remote, request, self._first, self._third))
        keeps_old_name = await self._size(self._first) is not None
        await self._remote.remove(self._first)
        return given and keeps_old_name == (request == "link") and await self._size(self._third) == len(OTHER)

    async def _syncs(self, name: str, flags: int) -> bool:
        if flags & FXF_WRITE:
            await self._put(name, CONTENT)
        path = self._remote.path(name)
        session = await self._remote.session()
        try:
            file = await session.ask(session.sftp.open(path, flags, encoding=None))
        except asyncssh.SFTPError:
            return False
        try:
            return await self._does(session.ask(file.fsync()))
        finally:
            session.close_later(file)

    async def _hashes(self) -> bool:
        """Return whether the command tells the digests of two different objects."""
        await self._put_two()
        session = await self._remote.session()
        for name, data in ((self._first, OTHER), (self._second, CONTENT)):
            if await sha256sum(session, self._remote.path(name), length=len(data)) != content_sha256(data):
                return False
        return True

    async def _lost(self) -> list[str]:
        """Return the labels of the oddities that the server does not keep in names."""
        kept = await _together([self._keeps(*names) for names in self._odd.values()])
        return [label for label, is_kept in zip(self._odd, kept, strict=True) if not is_kept]

    async def _keeps(self, name: str, mangled: str | None) -> bool:
        """Return whether the server keeps the name, and does not store the object under the mangled one."""
        if not await self._does(self._write(name, CONTENT)) or await self._size(name) != len(CONTENT):
            return False
        return mangled is None or await self._size(mangled) is None

    async def _put_two(self) -> None:
        """Write the two objects anew: OTHER under the first name, and CONTENT under the second.

        Both are removed before, because a link may have made them one object.
        """
        for name in (self._first, self._second):
            await self._remote.remove(name)
        await self._put(self._first, OTHER)
        await self._put(self._second, CONTENT)

    async def _put(self, name: str, data: bytes) -> None:
        with mapped_errors():
            await self._write(name, data)

    async def _write(
        self, name: str, data: bytes, *, start: int = 0, flags: int = FXF_WRITE | FXF_CREAT | FXF_TRUNC
    ) -> None:
        path = self._remote.path(name)
        session = await self._remote.session()
        file = await session.ask(session.sftp.open(path, flags, encoding=None, block_size=None))
        try:
            await session.ask(file.write(data, start))
            await session.ask(file.close())
        except asyncssh.SFTPError:
            session.close_later(file)
            raise

    async def _read(self, name: str, most_bytes: int) -> bytes:
        """Return the bytes that the server gives when it is asked once for the beginning of an object."""
        path = self._remote.path(name)
        session = await self._remote.session()
        with mapped_errors():
            file = await session.ask(session.sftp.open(path, FXF_READ, encoding=None, block_size=None))
            try:
                data: bytes = await session.ask(file.read(most_bytes, 0))
                return data
            finally:
                session.close_later(file)

    async def _sizes(self) -> tuple[int | None, int | None]:
        return await self._size(self._first), await self._size(self._second)

    async def _size(self, name: str) -> int | None:
        """Return the size of the object; None if the server answers with an error, such as that there is none."""
        path = self._remote.path(name)
        try:
            return (await self._remote.ask(lambda sftp: sftp.lstat(path))).size
        except asyncssh.SFTPError:
            return None

    async def _does(self, request: Awaitable[object]) -> bool:
        """Return whether the server does what it is asked. Raises TargetUnavailable if it does not answer."""
        try:
            await request
        except asyncssh.SFTPError:
            return False
        return True


async def _together(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of calls that run at once. After an exception of one, which is raised, none runs on."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _examples(beginning: str, oddity: Oddity) -> tuple[str, str | None]:
    """Return a name with the oddity, and the name under which a server that loses the oddity may store the object."""
    return f"{beginning}{oddity.example}", None if oddity.mangled is None else f"{beginning}{oddity.mangled}"
