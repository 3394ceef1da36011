"""Small source files that are stored together into memory twins."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridhaul.source.opened import identify
from gridhaul.source.roots import Roots
from gridhaul.targets.directory import DirectoryTarget
from gridhaul.transfer.model import (
    Destination,
    File,
    Hint,
    NewFile,
    Queue,
    RecordId,
)
from gridhaul.transfer.origins import ServerPath
from gridhaul.transfer.retry import Limits
from gridhaul.transfer.states import DeliveryState, FileState
from tasks.attempt import Attempts
from tasks.runtime import Runtime
from tasks.store_bundle import store_files
from tests.contracts.bytes_to_store import read
from tests.contracts.memory_contents import MemoryContents, MemoryIntake
from tests.contracts.memory_registry import MemoryDeliveries, MemoryFiles
from tests.noted_hints import NotedHints
from tests.tasks.storing_bench import DirectChunks
from tests.tasks.worker_parts import alone, only, worker_settings
from tests.unused import UNUSED

TARGET = "disk"
LEASE_SECONDS = 60.0


@dataclass(kw_only=True)
class Bench:
    root: Path
    lease_seconds: float = LEASE_SECONDS
    inline_limit_chunks: int = 15
    segments_in_flight: int = 1
    stop: bool = False
    hints: list[Hint] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.files = MemoryFiles(lease_seconds=LEASE_SECONDS)
        self.deliveries = MemoryDeliveries(lease_seconds=LEASE_SECONDS)
        self.contents = MemoryContents(sweep_after_seconds=0)
        intake = MemoryIntake(self.contents, inline_limit_chunks=self.inline_limit_chunks)
        self.chunks = DirectChunks(intake=intake)
        self.outgoing, self.delivered = self.root / "outgoing", self.root / "delivered"
        self.outgoing.mkdir()
        self.delivered.mkdir()

    def path(self, n: int) -> Path:
        return self.outgoing / f"f{n}"

    async def register(
        self, n: int, data: bytes, *, deliver_to: Sequence[Destination] = (), batch_id: RecordId | None = None
    ) -> RecordId:
        path = self.path(n)
        path.write_bytes(data)
        identity = await identify(str(path), Roots.any_of((self.outgoing,)), max_file_bytes=None)
        new = NewFile(
            owner="operator",
            name=path.name,
            content_type="application/x-hdf5",
            length=len(data),
            origin=ServerPath(path=str(path), root=str(self.outgoing), identity=identity),
            queue=Queue.SMALL,
            deliver_to=tuple(deliver_to),
            batch_id=batch_id,
        )
        file, _ = await self.files.register(new)
        return file.id

    async def store(self, *file_ids: RecordId) -> list[File]:
        """Run the journey of files that were hinted together; return the files afterwards."""
        await store_files(self.runtime(), file_ids)
        return [self.files.rows[file_id].record for file_id in file_ids]

    async def stored(self, file: File) -> bytes:
        """Return the bytes of a stored file's content."""
        assert file.content_id is not None
        content = await self.contents.get(file.content_id)
        assert content is not None
        return bytes(await read(self.contents, content))

    def runtime(self) -> Runtime:
        pace: dict[str, Any] = {
            "stopping": lambda: self.stop,
            "renew_seconds": 10,
            "lease_seconds": LEASE_SECONDS,
            "limits": Limits(attempts=3, waiting_seconds=0),
        }
        return Runtime(
            settings=worker_settings(
                roots=(self.outgoing,), segments_in_flight=self.segments_in_flight, lease_seconds=self.lease_seconds
            ),
            holder="worker",
            stopping=lambda: self.stop,
            files=self.files,
            deliveries=self.deliveries,
            contents=self.contents,
            usage=UNUSED,
            chunks=self.chunks,
            targets=only(DirectoryTarget(name=TARGET, path=self.delivered)),
            hints=NotedHints(self.hints),
            checking=UNUSED,
            file_attempts=Attempts(records=self.files, waiting=FileState.REGISTERED, failed=FileState.FAILED, **pace),
            upload_attempts=UNUSED,
            uploads=UNUSED,
            delete_attempts=UNUSED,
            delivery_attempts=Attempts(
                records=self.deliveries, waiting=DeliveryState.QUEUED, failed=DeliveryState.FAILED, **pace
            ),
            cleaning_attempts=UNUSED,
            batches=UNUSED,
            probing=UNUSED,
            turns=alone(),
            close=UNUSED,
        )
