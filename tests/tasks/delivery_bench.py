"""Deliveries of one stored file to real targets; memory twins hold everything else."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gridhaul.transfer.errors import ChunkCorrupt
from gridhaul.transfer.model import Content, Delivery, IfExists, NewDelivery, Queue
from gridhaul.transfer.ports.contents import Chunks
from gridhaul.transfer.states import STORABLE, FileState
from tasks.clean_delivery import clean_up
from tasks.finalize_file import deliver_file
from tasks.runtime import Runtime
from tests.contracts.altered_chunks import AlteredChunks
from tests.contracts.bytes_to_store import sealed
from tests.contracts.memory_contents import MemoryContents, MemoryIntake
from tests.contracts.memory_registry import MemoryDeliveries, MemoryFiles, Row
from tests.contracts.ports import destination, new_file

NAME = "run.h5"
OLD = b"what was there before"


class Damaged(MemoryContents):
    """Contents whose chunk number `damaged`, if set, is found damaged when it is read."""

    damaged: int | None = None

    def read(self, content: Content) -> Chunks:
        return AlteredChunks(super().read(content), self.alter)

    def alter(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for n, chunk in enumerate(chunks):
            if n == self.damaged:
                raise ChunkCorrupt(f"Chunk {n} is damaged.")
            yield chunk


@dataclass(kw_only=True)
class Bench:
    """One stored file, and the targets `web` (plain HTTP) and `disk` (a directory)."""

    runtime: Runtime
    files: MemoryFiles
    deliveries: MemoryDeliveries
    contents: Damaged
    disk: Path

    @property
    def row(self) -> Row[Delivery]:
        """Return the row of the only delivery."""
        (row,) = self.deliveries.rows.values()
        return row

    async def file_of(self, data: bytes) -> NewDelivery:
        content = await sealed(self.contents, MemoryIntake(self.contents, inline_limit_chunks=15), data)
        file, _ = await self.files.register(new_file(length=len(data)))
        taken = await self.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
        assert taken is not None
        assert content.sha256 is not None
        await self.files.finish(taken.lease, FileState.STORED, content_id=content.id, sha256=content.sha256)
        return NewDelivery(
            file_id=file.id,
            owner=file.owner,
            destination=destination("web"),
            length=len(data),
            sha256=content.sha256,
            queue=Queue.SMALL,
        )

    async def deliver(
        self, data: bytes, to: str, *, if_exists: IfExists = IfExists.FAIL, attempts: int = 1
    ) -> Delivery:
        delivery = await self.open(data, to, if_exists=if_exists)
        return await self.attempt(delivery, attempts=attempts)

    async def open(self, data: bytes, to: str, *, if_exists: IfExists = IfExists.FAIL) -> Delivery:
        new = await self.file_of(data)
        wanted = destination(to, object_name=NAME, if_exists=if_exists)
        delivery, _ = await self.deliveries.open(replace(new, destination=wanted))
        return delivery

    async def attempt(self, delivery: Delivery, *, attempts: int = 1) -> Delivery:
        for _ in range(attempts):
            await deliver_file(self.runtime, delivery.id)
        return await self.now(delivery)

    async def clean(self, delivery: Delivery) -> Delivery:
        """Clean up after the delivery, if that is due; return the delivery afterwards."""
        await clean_up(self.runtime, delivery.id)
        return await self.now(delivery)

    async def now(self, delivery: Delivery) -> Delivery:
        found = await self.deliveries.get(delivery.id)
        assert found is not None
        return found


def code_of(delivery: Delivery) -> str | None:
    return delivery.error.code if delivery.error else None
