"""A client that uploads a file to the system of twins, through api processes that may die, and never gives up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect

from api.named_digest import NamedDigests
from api.uploads.appending import append, complete, finish_received
from api.uploads.holding import Holdings
from api.uploads.memory import UploadMemory
from api.uploads.parallel.digests import ParallelDigests
from api.uploads.parts import UploadParts, reserved_length, upload_of
from api.uploads.running_digests import RunningDigests
from gridhaul.transfer.access import NewAccount
from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError, LeaseLost, OffsetMismatch
from gridhaul.transfer.model import (
    File,
    NewFile,
    Queue,
    RecordId,
)
from gridhaul.transfer.origins import Door, Upload
from gridhaul.transfer.states import FileState
from tests.contracts.ports import destination
from tests.faults.failing import Life
from tests.faults.failing_ports import FailingContents, FailingPort, failing_chunks
from tests.faults.twin_system import (
    NAME,
    OWNER,
    SWEEP_AFTER_SECONDS,
    TARGET,
    UPLOAD_LIFETIME_SECONDS,
    TwinSystem,
)
from tests.noted_hints import NotedHints

T = TypeVar("T")
AGAIN_SECONDS = 1.0
TRIES_MOST = 100
MEMORY_CHUNKS = 64


class ApiProcess:
    """One process of the api: it lives until a call lets it die."""

    def __init__(self, system: TwinSystem) -> None:
        self.life = life = Life(system.faults)

        def failing(port: object, name: str) -> Any:
            return FailingPort(port, name=name, error=DatabaseUnavailable, life=life)

        registry, contents = failing(system.uploads, "uploads"), FailingContents(system.contents, life=life)
        memory = UploadMemory(MEMORY_CHUNKS * CHUNK_BYTES)
        self.parts = UploadParts(
            registry=registry,
            files=failing(system.files, "files"),
            contents=contents,
            chunks=failing_chunks(system.intake, life=life),
            usage=failing(system.usage, "usage"),
            hints=NotedHints([]),  # all hints are lost
            memory=memory,
            digests=RunningDigests(),
            parallel_digests=ParallelDigests(memory),
            holdings=Holdings(registry, contents),
            late_seconds=SWEEP_AFTER_SECONDS,
            stall_seconds=30.0,
            max_file_bytes=None,
            public_url=None,
            lifetime_seconds=UPLOAD_LIFETIME_SECONDS,
            offers_draft=True,
        )
        self._watch = asyncio.create_task(self.parts.holdings.watch())

    async def answer(self, request: Coroutine[Any, Any, T]) -> T | None:
        """Return the answer to the request, or None if the process dies before. Raises the error that it answers."""
        task, death = asyncio.create_task(request), asyncio.create_task(self.life.dead.wait())
        await asyncio.wait([task, death], return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if not self.life.dead.is_set():
            return task.result()
        await _ended(task)
        return None

    async def stop(self) -> None:
        await _ended(self._watch)


async def _ended(task: asyncio.Task[Any]) -> None:
    """Cancel the task until it ends: a dead process hangs in each call, also in those that clean up."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.01)


@dataclass(kw_only=True)
class Client:
    """A client of an upload. It repeats what got no answer or an error, as clients of tus do."""

    system: TwinSystem
    data: bytes
    known_length: bool
    processes: list[ApiProcess]
    acknowledged: int = 0  # the greatest offset that an answer has told

    @classmethod
    async def begin(cls, system: TwinSystem, data: bytes, *, known_length: bool) -> "Client":
        await system.accounts.create(NewAccount(username=OWNER, scopes=()))
        return cls(
            system=system, data=data, known_length=known_length, processes=[ApiProcess(system) for _ in range(2)]
        )

    async def ask(self, process: int, request: Callable[[UploadParts], Coroutine[Any, Any, T]]) -> T | None:
        """Return the answer of the process, or None if it gives none, or an error. A dead process is replaced."""
        if self.processes[process].life.dead.is_set():
            await self.processes[process].stop()
            self.processes[process] = ApiProcess(self.system)
        api = self.processes[process]
        try:
            return await api.answer(request(api.parts))
        except (GridhaulError, LeaseLost, ClientDisconnect):
            await asyncio.sleep(AGAIN_SECONDS)
            return None

    async def until_answered(self, process: int, request: Callable[[UploadParts], Coroutine[Any, Any, T]]) -> T:
        for _ in range(TRIES_MOST):
            if (answer := await self.ask(process, request)) is not None:
                return answer
        raise AssertionError("the request is never answered")

    async def create(self, *, deliver: bool) -> RecordId:
        """Begin the upload."""
        upload = Upload(
            door=Door.TUS, length_deferred=not self.known_length, began_without_length=not self.known_length
        )
        return await self.register(upload, len(self.data) if self.known_length else 0, key="k", deliver=deliver)

    async def register(self, upload: Upload, length: int, *, key: str, deliver: bool) -> RecordId:
        """Register the upload. The key makes it one upload, however often the request is repeated."""
        new = NewFile(
            owner=OWNER,
            name=NAME,
            content_type="application/x-hdf5",
            length=length,
            origin=upload,
            queue=Queue.SMALL,
            deliver_to=(destination(TARGET, object_name=NAME),) if deliver else (),
            idempotency_key=key,
        )

        async def created(parts: UploadParts) -> RecordId:
            await parts.usage.charge(OWNER, length)
            file, made = await parts.registry.create(new)
            if not made:
                await parts.usage.release(OWNER, length)
            return file.id

        return await self.until_answered(0, created)

    async def offset(self, process: int, file_id: RecordId) -> int:
        """Ask for the offset, as HEAD does. Require that no acknowledged byte is lost."""

        async def asked(parts: UploadParts) -> int:
            file = await _file(parts, file_id)
            if file.state is not FileState.RECEIVING:
                return file.length
            async with parts.holdings.hold(file) as held:
                ends_itself = not upload_of(held.file).completed_by_request
                if ends_itself and held.file.stored_bytes == reserved_length(held.file):
                    await finish_received(parts, held)
                return held.file.stored_bytes

        offset = await self.until_answered(process, asked)
        assert offset >= self.acknowledged, "an acknowledged byte is lost"
        self.acknowledged = offset
        return offset

    async def send(
        self, process: int, file_id: RecordId, *, offset: int, body: AsyncIterator[bytes], names_length: bool = True
    ) -> None:
        """Send the body as one PATCH."""
        length = len(self.data) if names_length else None

        async def sent(parts: UploadParts) -> int:
            file = await _file(parts, file_id)
            if file.state is not FileState.RECEIVING:
                return file.length
            return await append(parts, file, body, offset=offset, length=length)

        with suppress(OffsetMismatch):
            answer = await self.ask(process, sent)
            self.acknowledged = max(self.acknowledged, answer or 0)

    async def complete(self, process: int, file_id: RecordId, named: NamedDigests) -> None:
        """Ask for the completion of an upload all of whose bytes are stored."""

        async def completed(parts: UploadParts) -> None:
            file = await _file(parts, file_id)
            if file.state is FileState.RECEIVING:
                await complete(parts, file, named)

        await self.ask(process, completed)

    async def leave(self) -> None:
        """End the processes, which take the client's connections with them."""
        for process in self.processes:
            await process.stop()


async def _file(parts: UploadParts, file_id: RecordId) -> File:
    file = await parts.registry.get(file_id)
    assert file is not None
    return file


def ends(data: bytes, *, at: int) -> AsyncIterator[bytes]:
    """Return a body that breaks off after `at` bytes."""

    async def body() -> AsyncIterator[bytes]:
        yield data[:at]
        if at < len(data):
            raise ClientDisconnect

    return body()


def stalls(data: bytes, *, at: int, has_stalled: Callable[[], Awaitable[None]]) -> AsyncIterator[bytes]:
    """Return a body of which nothing comes after `at` bytes. `has_stalled` is called then."""

    async def body() -> AsyncIterator[bytes]:
        yield data[:at]
        await has_stalled()
        await asyncio.Event().wait()

    return body()
