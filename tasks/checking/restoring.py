"""Repairs with chunks from the unchanged source, through the chunk service. Only wrong chunks are read and sent."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from gridhaul.source.opened import Source
from gridhaul.source.roots import Roots
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.errors import GridhaulError, SourceChanged, SourceMissing
from gridhaul.transfer.grants import RepairGrant
from gridhaul.transfer.model import Content, File
from tasks.checking.tally import Tally
from tasks.runtime import Runtime


class Restorer:
    def __init__(self, runtime: Runtime, tally: Tally) -> None:
        self._runtime = runtime
        self._tally = tally

    async def possible(self, content: Content) -> bool:
        """Return True if an unchanged source exists; raise the source's error if not."""
        async with self._source(content):
            return True

    async def restore(self, content: Content, n: int, digest: bytes) -> bool:
        """Read one chunk and send it. Return True. Raises the errors of the source and of the chunk service."""
        async with self._source(content) as (source, file):
            data = await source.chunk(content.length, n)
            self._tally.read(len(data))
            source.require(file.source.identity)
        if chunk_digest(data) != digest:
            raise SourceChanged(
                "The source has other bytes than were stored, although its size and times are the same."
            )
        await self._runtime.chunks.repair(RepairGrant(content_id=content.id), n, data, digest)
        self._tally.sent(len(data))
        return True

    @asynccontextmanager
    async def _source(self, content: Content) -> AsyncGenerator[tuple[Source, File]]:
        """Open the first unchanged source of a file that refers to the content, and close it afterwards."""
        source, file = await self._open(content)
        try:
            yield source, file
        finally:
            source.close()

    async def _open(self, content: Content) -> tuple[Source, File]:
        reason: GridhaulError = SourceMissing("No file refers to the content, so there is no source.")
        for file_id in content.refs:
            file = await self._runtime.files.get(file_id)
            if file is None or file.content_id != content.id:
                continue
            try:
                source = await Source.open(file.source.path, Roots.of_file(file, self._runtime.settings.roots))
            except GridhaulError as error:
                reason = error
                continue
            try:
                source.require(file.source.identity)
            except GridhaulError as error:
                source.close()
                reason = error
            else:
                return source, file
        raise reason
