"""The uploads' core as one api process has it. Several processes share the ports, as they share a database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from api.uploads.appending import append
from api.uploads.checksum import Checksum
from api.uploads.holding import Holdings
from api.uploads.memory import TURN_SECONDS, UploadMemory
from api.uploads.parallel.digests import ParallelDigests
from api.uploads.parts import UploadParts
from api.uploads.running_digests import RunningDigests
from gridhaul.transfer.access import NewAccount
from gridhaul.transfer.model import (
    File,
    Hint,
    NewFile,
    Queue,
    RecordId,
)
from gridhaul.transfer.origins import Door, Upload
from gridhaul.transfer.ports.chunk_service import UploadWriting
from tests.contracts.bytes_to_store import MIB, read
from tests.contracts.ports import Ports, destination
from tests.faults.failing_ports import MemoryChunks
from tests.noted_hints import NotedHints

OWNER = "operator"
LIFETIME_SECONDS = 86400.0
MEMORY_CHUNKS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    ports: Ports
    parts: UploadParts
    hints: list[Hint]
    memory_chunks: int

    async def create(self, length: int | None, *, door: Door = Door.TUS, to: bool = False, **fields: Any) -> File:
        """Register an upload as the doors do: a known length is charged at once."""
        new = NewFile(
            owner=OWNER,
            name="run.h5",
            content_type="application/x-hdf5",
            length=length or 0,
            origin=Upload(door=door, length_deferred=length is None, **fields),
            queue=Queue.LARGE,
            deliver_to=(destination(),) if to else (),
        )
        await self.parts.usage.charge(OWNER, new.length)
        file, _ = await self.parts.registry.create(new)
        return file

    async def append(
        self,
        file: File,
        body: AsyncIterator[bytes],
        *,
        offset: int = 0,
        checksum: Checksum | None = None,
        length: int | None = None,
        ends_file: bool = False,
    ) -> int:
        """Append to the upload, as a request does that has just read its record."""
        now = await self.file(file.id)
        return await append(self.parts, now, body, offset=offset, checksum=checksum, length=length, ends_file=ends_file)

    async def file(self, file_id: RecordId) -> File:
        found = await self.parts.registry.get(file_id)
        assert found is not None
        return found

    async def stored(self, file: File) -> bytearray:
        """Return the bytes of the file's sealed content."""
        now = await self.file(file.id)
        assert now.content_id is not None
        content = await self.ports.contents.get(now.content_id)
        assert content is not None
        assert (content.sha256, content.refs) == (now.sha256, (file.id,))
        return await read(self.ports.contents, content)

    async def used_bytes(self) -> int:
        """Return what the owner's account counts."""
        (account,) = await self.ports.accounts.page(limit=2, after=None)
        return account.used_bytes

    @property
    def has_all_its_memory(self) -> bool:
        return self.parts.memory._free_chunks._value == UploadMemory(self.memory_chunks * MIB)._free_chunks._value


async def make_account(ports: Ports) -> None:
    await ports.accounts.create(NewAccount(username=OWNER, scopes=()))


def new_process(
    ports: Ports,
    *,
    chunks: UploadWriting | None = None,
    quota_bytes: int | None = None,
    memory_chunks: int = MEMORY_CHUNKS,
    turn_seconds: float = TURN_SECONDS,
) -> Process:
    """Return one more process over the ports. Contents of up to 15 chunks are inline."""
    registry, hints = ports.uploads_living(LIFETIME_SECONDS), list[Hint]()
    memory = UploadMemory(memory_chunks * MIB, turn_seconds=turn_seconds)
    parts = UploadParts(
        registry=registry,
        files=ports.files,
        contents=ports.contents,
        chunks=chunks or MemoryChunks(ports.intake_with(15)),
        usage=ports.usage_with(quota_bytes),
        hints=NotedHints(hints),
        memory=memory,
        digests=RunningDigests(),
        parallel_digests=ParallelDigests(memory),
        holdings=Holdings(registry, ports.contents),
        late_seconds=0.0,
        stall_seconds=30.0,
        public_url=None,
        lifetime_seconds=LIFETIME_SECONDS,
        offers_draft=True,
    )
    return Process(ports=ports, parts=parts, hints=hints, memory_chunks=memory_chunks)
