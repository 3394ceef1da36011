"""One source file is stored into memory twins, by real reading and attempts. Tests act before any segment is stored."""

import mmap
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gridhaul.process.settings import WorkerSettings
from gridhaul.source.opened import identify
from gridhaul.source.roots import Roots
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.errors import LeaseLost, NotFound, StaleFence
from gridhaul.transfer.grants import ContentGrant, RepairGrant
from gridhaul.transfer.model import (
    File,
    NewFile,
    Queue,
    RecordId,
    Seal,
    Segment,
)
from gridhaul.transfer.origins import IfChanged, ServerPath
from gridhaul.transfer.retry import Limits
from gridhaul.transfer.states import FileState, Layout
from tasks.attempt import Attempts
from tasks.runtime import Runtime
from tasks.upload_file import store_file
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.memory_accounts import MemoryAccounts, MemoryUsage
from tests.contracts.memory_contents import MemoryContents, MemoryIntake
from tests.contracts.memory_registry import MemoryFiles
from tests.tasks.worker_parts import alone, worker_settings
from tests.unused import UNUSED

LENGTH = 5 * MIB + 7
MAX_ATTEMPTS = 3

Moment = Callable[[], Awaitable[None] | None]
Change = Callable[[Path], object]


@dataclass(kw_only=True)
class DirectChunks:
    """A replacement for `ChunkClient` that calls the intake. `before_put[n]` runs once, right before the n-th put."""

    intake: MemoryIntake
    before_put: dict[int, Moment] = field(default_factory=dict)
    puts: int = 0
    before_seal: Moment | None = None
    before_bundle: Moment | None = None
    bundles: list[int] = field(default_factory=list)  # the number of contents of each bundle

    async def digests(self, grant: ContentGrant, *, first: int, count: int) -> bytes:
        return await self.intake.digests(grant.content_id, first=first, count=count)

    async def repair(self, grant: RepairGrant, n: int, chunk: bytes, digest: bytes) -> None:
        await self.intake.repair(grant.content_id, n=n, chunk=chunk, digest=digest)

    async def put(self, grant: ContentGrant, segment: Segment) -> None:
        self.puts += 1
        await _happen(self.before_put.pop(self.puts, None))
        try:
            await self.intake.store(
                grant.content_id,
                fence=grant.fence,
                first=segment.first,
                chunks=segment.chunks,
                digests=segment.digests,
            )
        except (NotFound, StaleFence) as error:
            raise LeaseLost(error.detail) from error

    async def store_whole(self, contents: Sequence[WholeContent]) -> Mapping[RecordId, Layout]:
        self.bundles.append(len(contents))
        await _happen(self.before_bundle)
        return await self.intake.store_whole(contents)

    async def seal(self, grant: ContentGrant, seal: Seal) -> Layout:
        await _happen(self.before_seal)
        content = await self.intake.seal(grant.content_id, fence=grant.fence, seal=seal)
        assert content.layout is not None
        return content.layout


async def _happen(moment: Moment | None) -> None:
    happening = moment() if moment else None
    if happening is not None:
        await happening


@dataclass(kw_only=True)
class Bench:
    """The file `run.h5`, stored in segments of one chunk, one at a time, while the next segment is read."""

    path: Path
    root: Path  # the root of the account
    files: MemoryFiles
    contents: MemoryContents
    accounts: MemoryAccounts
    usage: MemoryUsage
    chunks: DirectChunks
    settings: WorkerSettings
    stop: bool = False
    file_id: RecordId = field(init=False)

    async def register(self, if_changed: IfChanged = IfChanged.FAIL) -> File:
        roots = Roots(configured=self.settings.roots, allowed=(self.root,))
        identity = await identify(str(self.path), roots, max_file_bytes=None)
        new = NewFile(
            owner="operator",
            name=self.path.name,
            content_type="application/x-hdf5",
            length=identity.size,
            origin=ServerPath(path=str(self.path), root=str(self.root), identity=identity, if_changed=if_changed),
            queue=Queue.SMALL,
        )
        file, _ = await self.files.register(new)
        self.file_id = file.id
        return file

    async def attempt(self) -> File:
        """Make one attempt at the file, and return the file afterwards."""
        await store_file(self._runtime(), self.file_id)
        return await self.now()

    async def now(self) -> File:
        file = await self.files.get(self.file_id)
        assert file is not None
        return file

    def stored(self, file: File) -> bytes:
        """Return the bytes that the file's content holds."""
        assert file.content_id is not None
        return b"".join(data for _, (data, _) in sorted(self.contents.chunks.get(file.content_id, {}).items()))

    def _runtime(self) -> Runtime:
        return Runtime(
            settings=self.settings,
            holder="worker",
            stopping=lambda: self.stop,
            files=self.files,
            deliveries=UNUSED,
            contents=self.contents,
            usage=self.usage,
            chunks=self.chunks,
            targets=UNUSED,
            hints=UNUSED,
            checking=UNUSED,
            file_attempts=Attempts(
                records=self.files,
                waiting=FileState.REGISTERED,
                failed=FileState.FAILED,
                stopping=lambda: self.stop,
                renew_seconds=0.005,
                lease_seconds=60,
                limits=Limits(attempts=MAX_ATTEMPTS, waiting_seconds=0),
            ),
            upload_attempts=UNUSED,
            uploads=UNUSED,
            delete_attempts=UNUSED,
            delivery_attempts=UNUSED,
            cleaning_attempts=UNUSED,
            batches=UNUSED,
            probing=UNUSED,
            turns=alone(),
            close=UNUSED,
        )


def make_bench(directory: Path) -> Bench:
    path = directory / "run.h5"
    path.write_bytes(some_bytes(LENGTH))
    contents, accounts = MemoryContents(sweep_after_seconds=0), MemoryAccounts()
    settings = worker_settings(roots=(directory,), segment_chunks=1, segments_in_flight=1)
    return Bench(
        path=path,
        root=directory,
        files=MemoryFiles(lease_seconds=60),
        contents=contents,
        accounts=accounts,
        usage=MemoryUsage(accounts, quota_bytes=None),
        chunks=DirectChunks(intake=MemoryIntake(contents, inline_limit_chunks=15)),
        settings=settings,
    )


def rewrite(path: Path, at: int, data: bytes) -> None:
    """Write into the middle of the file, and put its times back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def rewrite_mapped(path: Path, at: int, data: bytes) -> None:
    """Write into the middle of the file through a mapping, and put its times back."""
    before = path.stat()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[at : at + len(data)] = data
        mapped.flush()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_rename(path: Path, data: bytes) -> None:
    """Put another file under the name, with the times of the old file."""
    before = path.stat()
    new = path.with_name("new")
    new.write_bytes(data)
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.rename(path)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def touch_all_ways(path: Path) -> None:
    """Make a hard link, change the mode, and remove the link: no byte of the file changes."""
    link = path.with_name("link")
    link.hardlink_to(path)
    path.chmod(0o600)
    link.unlink()
