"""Files from real sources in a real MongoDB, and checks that run over them, with a real chunk service."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from bson import ObjectId

from chunk_service.app import create_app
from chunk_service.dependencies import Service
from chunk_service.intake_limits import DiskReserve, memory_budget
from gridhaul.asgi import chain
from gridhaul.asgi.readiness import Readiness
from gridhaul.chunk_service_client.chunk_client import ChunkClient
from gridhaul.source.opened import Source
from gridhaul.source.roots import Roots
from gridhaul.storage.accounts.usage import MongoRecounts, MongoUsage
from gridhaul.storage.checking.checks import MongoChecks
from gridhaul.storage.checking.inspection import MongoInspection
from gridhaul.storage.checking.mending import MongoMending
from gridhaul.storage.checking.objects import MongoObjects
from gridhaul.storage.checking.orphans import MongoOrphans
from gridhaul.storage.checking.stalled_records import MongoStalledRecords
from gridhaul.storage.checking.uploads import MongoBegunUploads
from gridhaul.storage.connect import Database, Document
from gridhaul.storage.content.contents import MongoContents
from gridhaul.storage.content.intake import MongoIntake
from gridhaul.storage.deliveries import MongoDeliveries
from gridhaul.storage.files import MongoFiles
from gridhaul.targets.targets_file import load_targets
from gridhaul.transfer.checks import Check, CheckKind, CheckState, Mode, NewCheck
from gridhaul.transfer.model import Content, File, Hint, RecordId
from gridhaul.transfer.retry import Limits
from gridhaul.transfer.states import STORABLE, DeliveryState, FileState
from tasks.attempt import Attempts, Chores
from tasks.run_check import check_some
from tasks.runtime import Checking, Runtime
from tests.asgi.request_limits import REQUEST_LIMITS
from tests.contracts.bytes_to_store import read, seal_of, segments, some_bytes
from tests.contracts.ports import from_path, new_file
from tests.noted_hints import NotedHints
from tests.tasks.worker_parts import alone, known, worker_settings
from tests.unused import UNUSED

SECRET = "s" * 32
SWEEP_SECONDS = 60.0

Found = tuple[str, int | None, str]  # code, number of the chunk, outcome


@dataclass(kw_only=True)
class Requests:
    """The requests to the chunk service, each as method and path."""

    all: list[str]

    @property
    def repairs(self) -> list[str]:
        return [request for request in self.all if request.endswith("/repair")]


@dataclass(kw_only=True)
class CheckBench:
    database: Database
    runtime: Runtime
    files: MongoFiles
    deliveries: MongoDeliveries
    checks: MongoChecks
    requests: Requests
    hints: list[Hint]
    root: Path
    disk: Path  # the directory of the target `disk`

    async def stored(self, length: int, *, inline_limit_chunks: int = 0, name: str = "run.h5") -> tuple[File, Content]:
        """Make a source, register it, and store it as a worker does. Return the file and its content."""
        data, path = some_bytes(length), self.root / name
        path.write_bytes(data)
        source = await Source.open(str(path), Roots.any_of((self.root,)))
        identity = source.identity()
        source.close()
        new = from_path(new_file(name=name, length=length), path=str(path), identity=identity)
        file, _ = await self.files.register(new)
        taken = await self.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
        assert taken is not None
        content = await self._sealed(taken, data, inline_limit_chunks)
        await self.files.finish(
            taken.lease,
            FileState.STORED,
            content_id=content.id,
            sha256=content.sha256,
            manifest_root=content.manifest_root,
            layout=content.layout,
        )
        found = await self.files.get(file.id)
        assert found is not None
        return found, content

    async def _sealed(self, file: File, data: bytes, inline_limit_chunks: int) -> Content:
        contents, intake = self.runtime.contents, MongoIntake(self.database, inline_limit_chunks=inline_limit_chunks)
        content_id = contents.new_id()
        await contents.open(
            content_id,
            file_id=file.id,
            filename=file.name,
            content_type=file.content_type,
            length=len(data),
            fence=file.fence,
        )
        for part in segments(data):
            await intake.store(content_id, fence=file.fence, first=part.first, chunks=part.chunks, digests=part.digests)
        return await intake.seal(content_id, fence=file.fence, seal=seal_of(data))

    async def start(self, kind: CheckKind = CheckKind.FSCK, mode: Mode = Mode.REPORT, **order: Any) -> Check:
        check, _ = await self.checks.open(NewCheck(kind=kind, mode=mode, **order))
        return check

    async def now(self, check: Check) -> Check:
        found = await self.checks.get(check.id)
        assert found is not None
        return found

    async def check(self, kind: CheckKind = CheckKind.FSCK, mode: Mode = Mode.REPORT, **order: Any) -> Check:
        """Open a check, run it to its end, and return it."""
        check = await self.start(kind, mode, **order)
        while check.state in (CheckState.QUEUED, CheckState.RUNNING):
            await check_some(self.runtime, check.id)
            check = await self.now(check)
        assert check.state is CheckState.DONE, check.error
        return check

    async def found(self, kind: CheckKind = CheckKind.FSCK, mode: Mode = Mode.REPORT, **order: Any) -> list[Found]:
        return found_in(await self.check(kind, mode, **order))

    async def read(self, content: Content) -> bytes:
        """Read the content, verified, and return its bytes."""
        return bytes(await read(self.runtime.contents, content))

    async def chunk(self, content: Content, n: int) -> Document:
        document = await self.database["fs.chunks"].find_one({"files_id": ObjectId(content.id), "n": n})
        assert document is not None
        return document

    async def change_chunk(self, content: Content, n: int, **fields: object) -> None:
        chunk = await self.chunk(content, n)
        await self.database["fs.chunks"].update_one({"_id": chunk["_id"]}, {"$set": fields})

    async def flip(self, content: Content, n: int) -> None:
        """Flip one bit in the data of the chunk."""
        await self.change_chunk(content, n, data=flipped((await self.chunk(content, n))["data"]))


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def found_in(check: Check) -> list[Found]:
    assert check.found == len(check.findings) == sum((check.counts or {}).values())
    return [(finding.code.value, finding.n, finding.outcome.value) for finding in check.findings]


@asynccontextmanager
async def check_bench(database: Database, top: Path) -> AsyncGenerator[CheckBench]:
    root, disk, configured = top / "sources", top / "disk", top / "targets.toml"
    root.mkdir()
    disk.mkdir()
    configured.write_text(f'[targets.disk]\nkind = "directory"\npath = "{disk}"\n')
    targets, hints, requests = load_targets(configured), list[Hint](), Requests(all=[])
    files = MongoFiles(database, lease_seconds=60)
    deliveries = MongoDeliveries(database, lease_seconds=60, sweep_seconds=SWEEP_SECONDS)
    checks = MongoChecks(database, lease_seconds=60)
    async with await _chunk_service(database, requests) as http:
        runtime = Runtime(
            settings=worker_settings(roots=(root,)),
            holder="worker",
            stopping=lambda: False,
            files=files,
            deliveries=deliveries,
            contents=MongoContents(database, sweep_seconds=SWEEP_SECONDS),
            usage=MongoUsage(database, quota_bytes=None),
            chunks=ChunkClient(http, base_url="http://chunks", secret=SECRET),
            targets=known(targets),
            hints=NotedHints(hints),
            file_attempts=UNUSED,
            upload_attempts=UNUSED,
            uploads=UNUSED,
            delete_attempts=UNUSED,
            delivery_attempts=UNUSED,
            cleaning_attempts=Chores(
                records=deliveries, waiting=DeliveryState.FAILED, failed=DeliveryState.FAILED, **_pace(99)
            ),
            checking=Checking(
                checks=checks,
                inspection=MongoInspection(database),
                mending=MongoMending(database),
                orphans=MongoOrphans(database, sweep_seconds=SWEEP_SECONDS),
                stalled_records=MongoStalledRecords(database, sweep_seconds=SWEEP_SECONDS),
                objects=MongoObjects(database, sweep_seconds=SWEEP_SECONDS),
                uploads=MongoBegunUploads(database, sweep_seconds=SWEEP_SECONDS),
                recounts=MongoRecounts(database, quiet_seconds=SWEEP_SECONDS),
                attempts=Attempts(records=checks, waiting=CheckState.RUNNING, failed=CheckState.FAILED, **_pace(3)),
            ),
            batches=UNUSED,
            probing=UNUSED,
            turns=alone(),
            close=UNUSED,
        )
        yield CheckBench(
            database=database,
            runtime=runtime,
            files=files,
            deliveries=deliveries,
            checks=checks,
            requests=requests,
            hints=hints,
            root=root,
            disk=disk,
        )
    await targets.close()


def _pace(attempts: int) -> dict[str, Any]:
    limits = Limits(attempts=attempts, waiting_seconds=0)
    return {"stopping": lambda: False, "renew_seconds": 10, "lease_seconds": 60, "limits": limits}


async def _chunk_service(database: Database, requests: Requests) -> httpx2.AsyncClient:
    """Return a client of a chunk service within this process; the client notes its requests."""
    app, intake = create_app(), MongoIntake(database, inline_limit_chunks=15)
    collections = Readiness(_nothing)
    await collections.prepare()
    chain.start(app, REQUEST_LIMITS, cors_origins=())
    app.state.service = Service(
        intake=intake,
        secret=SECRET,
        memory=memory_budget(64 << 20),
        disk=DiskReserve(intake.free_space, reserve_bytes=0),
        collections=collections,
        stall_seconds=30,
    )

    async def remember(request: httpx2.Request) -> None:
        requests.all.append(f"{request.method} {request.url.path}")

    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), event_hooks={"request": [remember]})


async def _nothing() -> None:
    pass


def record_id(value: object) -> RecordId:
    return RecordId(str(value))
