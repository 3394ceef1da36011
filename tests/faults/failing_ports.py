"""The ports that one worker's journeys receive: each call may fail."""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from gridhaul.targets.directory import DirectoryTarget
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.batches import StoredMember
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.errors import (
    ChunkServiceUnavailable,
    DatabaseUnavailable,
    GridhaulError,
    LeaseLost,
    NotFound,
    StaleFence,
    TargetUnavailable,
)
from gridhaul.transfer.grants import ContentGrant, RepairGrant
from gridhaul.transfer.model import (
    Content,
    Evidence,
    FolderEntry,
    RecordId,
    RemoteObject,
    Seal,
    Segment,
    Stage,
)
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.batches import Members
from gridhaul.transfer.ports.contents import Chunks, Contents, Intake
from gridhaul.transfer.ports.targets import BeforeWriting, Blocks, Checked, Confirmed, Facts, Leaving, Target
from gridhaul.transfer.states import Layout
from tests.contracts.altered_chunks import AlteredChunks
from tests.faults.failing import Life
from tests.targets.deliveries import may_write


class FailingPort:
    """A failing port of any kind whose methods are all coroutine functions."""

    def __init__(self, port: Any, *, name: str, error: type[GridhaulError], life: Life) -> None:
        self._port = port
        self._name = name
        self._error = error
        self._life = life

    def __getattr__(self, method: str) -> Callable[..., Any]:
        inner = getattr(self._port, method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._life.call(f"{self._name}.{method}", self._error, lambda: inner(*args, **kwargs))

        return call


class FailingContents(FailingPort):
    """A failing `transfer.ports.contents.Contents`."""

    def __init__(self, contents: Contents, *, life: Life) -> None:
        super().__init__(contents, name="contents", error=DatabaseUnavailable, life=life)
        self._contents = contents

    def new_id(self) -> RecordId:
        return self._contents.new_id()

    def read(self, content: Content) -> Chunks:
        return AlteredChunks(self._contents.read(content), self._steps)

    def read_range(self, content: Content, *, start: int, stop: int) -> Chunks:
        return AlteredChunks(self._contents.read_range(content, start=start, stop=stop), self._steps)

    def read_open(self, content: Content, *, first: int = 0) -> Chunks:
        return AlteredChunks(self._contents.read_open(content, first=first), self._steps)

    def _steps(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        return self._life.steps("contents.read", DatabaseUnavailable, chunks)


class FailingMembers(FailingPort):
    """A failing `transfer.ports.batches.Members`."""

    def __init__(self, members: Members, *, life: Life) -> None:
        super().__init__(members, name="members", error=DatabaseUnavailable, life=life)
        self._members = members

    async def stored(self, batch_id: RecordId) -> AsyncGenerator[StoredMember]:
        async for member in self._members.stored(batch_id):
            yield await self._life.step("members.stored", DatabaseUnavailable, partial(_given, member))


async def _given(member: StoredMember) -> StoredMember:
    return member


class _Steps:
    """`transfer.ports.targets.Blocks` of which each may fail to come."""

    def __init__(self, blocks: Blocks, life: Life) -> None:
        self._blocks = blocks
        self._life = life
        self.stop = blocks.stop

    def __iter__(self) -> Iterator[bytes]:
        return self._life.steps("target.put.block", TargetUnavailable, iter(self._blocks))


class FailingTarget:
    """A failing `transfer.ports.targets.Target`."""

    def __init__(self, target: Target, *, life: Life) -> None:
        self._target = target
        self._life = life
        self.name = target.name

    @property
    def abilities(self) -> Abilities:
        return self._target.abilities

    def location(self, name: str) -> str:
        return self._target.location(name)

    async def find(self, name: str, *, length: int) -> RemoteObject | None:
        return await self._life.call("target.find", TargetUnavailable, lambda: self._target.find(name, length=length))

    async def read_back(self, name: str, *, length: int, sha256: str, checked: Checked) -> RemoteObject | None:
        read = partial(self._target.read_back, name, length=length, sha256=sha256, checked=checked)
        return await self._life.call("target.read_back", TargetUnavailable, read)

    async def remove(self, name: str) -> None:
        await self._life.call("target.remove", TargetUnavailable, lambda: self._target.remove(name))

    async def close(self) -> None:
        await self._target.close()


class FailingDirectTarget(FailingTarget):
    """A failing target that has no stages: a directory whose files are written under their final names."""

    def __init__(self, target: DirectoryTarget, *, life: Life) -> None:
        super().__init__(target, life=life)
        self._directory = target

    @property
    def abilities(self) -> Abilities:
        return Abilities()

    async def put(self, name: str, blocks: Blocks, *, length: int, leaving: Leaving) -> None:
        await self._life.step(
            "target.put",
            TargetUnavailable,
            lambda: self._write(name, _Steps(blocks, self._life), length=length, leaving=leaving),
        )

    async def _write(self, name: str, blocks: Blocks, *, length: int, leaving: Leaving) -> None:
        await self._directory.remove(name)  # as a server does that begins an object anew
        stage = Stage(name=name, final_name=name, generation=1, length=length)
        await self._directory.write(stage, blocks, leaving=leaving, confirmed=_unnoted)


async def _unnoted(_: Stage) -> None: ...


class FailingStagingTarget(FailingTarget):
    """A failing target that has stages, and has all further abilities of a directory but `Listing`."""

    def __init__(self, target: DirectoryTarget, *, life: Life) -> None:
        super().__init__(target, life=life)
        self._probed = target
        self.fingerprint, self.facts_last_seconds = target.fingerprint, target.facts_last_seconds
        self.facts_outdated = False
        self.allow_overwrite_race = target.allow_overwrite_race
        self.rely_on = target.rely_on

    async def probe(self, scratch: str, before_writing: BeforeWriting) -> Facts:
        await before_writing()  # a call of another port, which may fail by itself
        probing = partial(self._probed.probe, scratch, may_write)
        return await self._life.call("target.probe", TargetUnavailable, probing)

    async def clear(self, scratch: str) -> None:
        await self._life.call("target.clear", TargetUnavailable, lambda: self._probed.clear(scratch))

    async def begin(self, stage: Stage) -> Stage:
        return await self._life.call("target.begin", TargetUnavailable, lambda: self._probed.begin(stage))

    async def resume(self, stage: Stage) -> Stage | None:
        return await self._life.call("target.resume", TargetUnavailable, lambda: self._probed.resume(stage))

    async def write(
        self,
        stage: Stage,
        blocks: Blocks,
        *,
        leaving: Leaving,
        confirmed: Confirmed,
        attributes: Attributes | None = None,
    ) -> Stage:
        writing = partial(self._probed.write, stage, _Steps(blocks, self._life), attributes=attributes)
        return await self._life.step(
            "target.write", TargetUnavailable, lambda: writing(leaving=leaving, confirmed=confirmed)
        )

    async def proof(self, stage: Stage) -> Evidence | None:
        return await self._probed.proof(stage)

    async def abandon(self, stage: Stage) -> None:
        await self._life.call("target.abandon", TargetUnavailable, lambda: self._probed.abandon(stage))

    async def attributes(self, name: str) -> Attributes | None:
        return await self._life.call("target.attributes", TargetUnavailable, lambda: self._probed.attributes(name))

    async def commit(self, stage: Stage) -> None:
        await self._commit("commit", stage)

    async def replace(self, stage: Stage) -> None:
        await self._commit("replace", stage)

    async def entries(self, folder: str, *, at_most: int) -> Mapping[str, FolderEntry] | None:
        listing = partial(self._probed.entries, folder, at_most=at_most)
        return await self._life.call("target.entries", TargetUnavailable, listing)

    async def commit_unseen(self, stage: Stage) -> None:
        await self._commit("commit_unseen", stage)

    async def free_bytes(self) -> int | None:
        return await self._life.call("target.free_bytes", TargetUnavailable, self._probed.free_bytes)

    async def _commit(self, method: str, stage: Stage) -> None:
        inner = getattr(self._target, method)
        await self._life.call(f"target.{method}", TargetUnavailable, lambda: inner(stage))


class MemoryChunks:
    """A replacement for `ChunkClient` that calls the intake directly, and repeats no call."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def digests(self, grant: ContentGrant, *, first: int, count: int) -> bytes:
        with _known_here():
            return await self._intake.digests(grant.content_id, first=first, count=count)

    async def put(self, grant: ContentGrant, segment: Segment) -> None:
        with _known_here():
            await self._intake.store(
                grant.content_id,
                fence=grant.fence,
                first=segment.first,
                chunks=segment.chunks,
                digests=segment.digests,
            )

    async def put_tail(self, grant: ContentGrant, n: int, data: bytes) -> None:
        with _known_here():
            await self._intake.store_tail(
                grant.content_id, fence=grant.fence, n=n, data=data, digest=chunk_digest(data)
            )

    async def repair(self, grant: RepairGrant, n: int, chunk: bytes, digest: bytes) -> None:
        await self._intake.repair(grant.content_id, n=n, chunk=chunk, digest=digest)

    async def store_whole(self, contents: Sequence[WholeContent]) -> Mapping[RecordId, Layout]:
        return await self._intake.store_whole(contents)

    async def seal(self, grant: ContentGrant, seal: Seal) -> Layout:
        with _known_here():
            content = await self._intake.seal(grant.content_id, fence=grant.fence, seal=seal)
        assert content.layout is not None
        return content.layout


@contextmanager
def _known_here() -> Iterator[None]:
    """Raise the refusals of the chunk service as a worker gets them: a stale fence or unknown content is LeaseLost."""
    try:
        yield
    except (StaleFence, NotFound) as error:
        raise LeaseLost(error.detail) from error


def failing_chunks(intake: Intake, *, life: Life) -> Any:
    """Return a failing port that takes the place of `ChunkClient` in journeys."""
    return FailingPort(MemoryChunks(intake), name="chunks", error=ChunkServiceUnavailable, life=life)
