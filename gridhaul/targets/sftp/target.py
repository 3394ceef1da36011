"""The target: what `transfer.ports.targets` asks of a folder at an SFTP server."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial

import asyncssh
from asyncssh import FXF_READ

from gridhaul.process import threads
from gridhaul.targets.names import quote_name
from gridhaul.targets.sftp.attributes import attributes_of, give_attributes, made_with
from gridhaul.targets.sftp.command import sha256sum
from gridhaul.targets.sftp.connection import Connection
from gridhaul.targets.sftp.errors import GONE, mapped_errors
from gridhaul.targets.sftp.facts import SftpFacts, facts_of
from gridhaul.targets.sftp.naming import Naming
from gridhaul.targets.sftp.oddities import sftp_oddity_in
from gridhaul.targets.sftp.probe import Probe
from gridhaul.targets.sftp.reading import read_object
from gridhaul.targets.sftp.remote import Remote
from gridhaul.targets.sftp.session import Session
from gridhaul.targets.sftp.stage_file import StageFile, gone
from gridhaul.targets.sftp.writing import Writing
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.errors import TargetFull, TargetInconsistent, TargetRefused, TargetUnavailable
from gridhaul.transfer.model import Evidence, RemoteObject, Stage
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import BeforeWriting, Blocks, Checked, Confirmed, Facts, Leaving

DAY_SECONDS = 86_400.0
SERVER_BYTES_PER_SECOND = 20 << 20  # the slowest rate at which a server may flush an object to its disk


class SftpTarget:
    """See `transfer.ports.targets`: `Target`, `Staging`, `KeepsAttributes`, `Listing`, `TellsRoom` and `Probed`.

    A stage is a file beside the final one. The server may hold more of it than was confirmed, and holes among that, so
    a later attempt writes all from the confirmed offset on again. Nothing is truncated.
    """

    facts_last_seconds = DAY_SECONDS

    def __init__(
        self,
        *,
        name: str,
        connection: Connection,
        url: str,
        root: str,
        fingerprint: str,
        remote_command: bool,
        keep_mode: bool,
        allow_overwrite_race: bool,
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.facts_outdated = False
        self.abilities = Abilities()
        self.allow_overwrite_race = allow_overwrite_race
        self._connection = connection
        self._url = url
        self._remote = Remote(connection, root=root)
        self._remote_command = remote_command
        self._keep_mode = keep_mode
        self._facts: SftpFacts | None = None
        self._lost: frozenset[str] = frozenset()

    async def probe(self, scratch: str, before_writing: BeforeWriting) -> Facts:
        facts = (await self._new_probe(scratch).run(before_writing)).as_facts()
        self.facts_outdated = False
        return facts

    async def clear(self, scratch: str) -> None:
        await self._new_probe(scratch).clear()

    def rely_on(self, facts: Facts) -> bool:
        seen = facts_of(facts)
        if seen is None:
            return False
        self._facts, self.abilities = seen, seen.abilities
        self._remote.syncs_folders = seen.syncs_folders
        self._lost = frozenset(seen.lost)
        return True

    def location(self, name: str) -> str:
        return f"{self._url}/{quote_name(name)}"

    async def find(self, name: str, *, length: int) -> RemoteObject | None:
        self._require_kept(name)
        found = await self._remote.look_for_object(name)
        if found is None:
            return None
        sha256 = await self._told_digest(name, length=length) if found.size == length else None
        evidence = Evidence.SIZE if sha256 is None else Evidence.REMOTE_DIGEST
        return RemoteObject(length=found.size, sha256=sha256 or "", evidence=evidence)

    async def read_back(self, name: str, *, length: int, sha256: str, checked: Checked) -> RemoteObject | None:
        if await self._remote.look_for_object(name) is None:
            return None
        path, session = self._remote.path(name), await self._remote.session()
        with mapped_errors():
            try:
                file = await session.ask(session.sftp.open(path, FXF_READ, encoding=None, block_size=None))
            except GONE:
                return None
        try:
            return await read_object(session, file, block_bytes=self._seen.read_bytes, length=length, checked=checked)
        finally:
            session.close_later(file)

    async def begin(self, stage: Stage) -> Stage:
        """Return the stage as it is: `write` makes the file, and its folders if they are missing."""
        self._require_kept(stage.final_name)
        return stage

    async def resume(self, stage: Stage) -> Stage | None:
        found = await self._remote.look_for_object(stage.name)
        if found is None or found.size is None or found.size > stage.length:
            return None
        resumed = replace(stage, offset=min(stage.offset, found.size))
        return resumed if resumed.is_whole or self._seen.writes_inside else None

    async def write(
        self,
        stage: Stage,
        blocks: Blocks,
        *,
        leaving: Leaving,
        confirmed: Confirmed,
        attributes: Attributes | None = None,
    ) -> Stage:
        await threads.in_thread(partial(leaving, 0), when_cancelled=blocks.stop)
        if stage.is_whole and await self._cannot_be_opened(stage):
            return stage
        kept = attributes if self._keep_mode or attributes is None else replace(attributes, mode=None)
        session = await self._seen_session()
        with mapped_errors():
            file = await StageFile(self._remote, session, stage).open(made_with(kept), opens_new=self._seen.opens_new)
        writing = Writing(session, file, stage, block_bytes=self._seen.write_bytes, syncs=self._seen.syncs)
        try:
            await writing.write(blocks, leaving=leaving, confirmed=confirmed)
            await self._finish(session, file, stage, kept)
        except TargetUnavailable as failure:
            session.close_later(file)
            raise await self._full(session, stage) or failure from None
        except BaseException:
            session.close_later(file)
            raise
        return replace(stage, offset=stage.length)

    async def proof(self, stage: Stage) -> Evidence | None:
        """Return None: `find` tells the digest of the command, or the object is read back."""
        return None

    async def commit(self, stage: Stage) -> None:
        await (await self._naming(stage)).commit(stage)

    async def replace(self, stage: Stage) -> None:
        await (await self._naming(stage)).replace(stage)

    async def abandon(self, stage: Stage) -> None:
        await self._remote.remove(stage.name)

    async def remove(self, name: str) -> None:
        await self._remote.remove(name)

    async def attributes(self, name: str) -> Attributes | None:
        found = await self._remote.look_for_object(name)
        return None if found is None else attributes_of(found)

    async def names(self, folder: str) -> AsyncGenerator[str]:
        async with aclosing(self._remote.names(folder)) as names:
            async for name in names:
                yield name

    async def free_bytes(self) -> int | None:
        if not self._seen.tells_room:
            return None
        with mapped_errors():
            space = await self._remote.ask(lambda sftp: sftp.statvfs(self._remote.root))
        return space.bavail * space.frsize

    async def close(self) -> None:
        await self._connection.close()

    @property
    def _seen(self) -> SftpFacts:
        if self._facts is None:
            raise AssertionError("nothing may be called before `rely_on`")
        return self._facts

    def _new_probe(self, scratch: str) -> Probe:
        return Probe(self._remote, scratch=scratch, remote_command=self._remote_command)

    async def _naming(self, stage: Stage) -> Naming:
        """Return what names the stage. Raises TargetUnavailable if another server answers than the probe saw."""
        self._require_kept(stage.final_name)
        await self._seen_session()
        return Naming(self._remote, self._seen, surprised=self._surprised)

    async def _seen_session(self) -> Session:
        """Return the session. Raises TargetUnavailable if another server answers than the probe saw."""
        session = await self._remote.session()
        if session.server_version != self._seen.server:
            self._surprised()
            raise TargetUnavailable(
                "Another version of the target's server answers than the one that was probed; it is probed again."
            )
        return session

    def _surprised(self) -> None:
        self.facts_outdated = True

    async def _told_digest(self, name: str, *, length: int) -> str | None:
        if not self._seen.hashes:
            return None
        return await sha256sum(await self._remote.session(), self._remote.path(name), length=length)

    async def _cannot_be_opened(self, stage: Stage) -> bool:
        """Return whether an earlier attempt wrote the file, and the server opens no file for writing that is there."""
        return not self._seen.writes_inside and await self._remote.look_for_object(stage.name) is not None

    async def _finish(
        self, session: Session, file: asyncssh.SFTPClientFile, stage: Stage, attributes: Attributes | None
    ) -> None:
        """Give the whole file its attributes, flush it, and close it."""
        with mapped_errors():
            if attributes is not None:
                await give_attributes(session, file, attributes)
            if self._seen.syncs:
                await session.ask(file.fsync(), busy_seconds=stage.length / SERVER_BYTES_PER_SECOND)
            await session.ask(file.close())
        found = await self._remote.look(stage.name)
        if found is None:
            raise gone()
        if found.size != stage.length:
            raise TargetInconsistent("The target's server took all bytes, but its file has another length.")

    async def _full(self, session: Session, stage: Stage) -> TargetFull | None:
        """Return the error to raise if the server, which still answers, has no space for the stage's bytes."""
        if session.is_closed:
            return None
        try:
            free = await self.free_bytes()
            found = await self._remote.look_for_object(stage.name)
        except (TargetUnavailable, TargetRefused):
            return None
        missing = stage.length - ((found and found.size) or 0)
        if free is None or free >= missing:
            return None
        return TargetFull(f"The target's disk is full: {free} bytes are free, and the object needs {missing}.")

    def _require_kept(self, name: str) -> None:
        """Raise TargetRefused if the probe saw that the server does not keep names like this one."""
        if oddity := sftp_oddity_in(name, self._lost):
            raise TargetRefused(f"The target's server does not keep {oddity.label} in a name; choose another name.")
