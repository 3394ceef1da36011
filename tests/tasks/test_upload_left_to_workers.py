"""The last bytes of an upload that no request has finished: a worker takes them from the open tail if it has to."""

from types import SimpleNamespace
from typing import Any

import pytest

from gridhaul.storage.connect import Database
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.model import Content
from tasks.read_back import store_tail
from tests.contracts.bytes_to_store import MIB, read, seal_of, segment, some_bytes, store
from tests.contracts.ports import A_FILE, Ports, mongo_ports
from tests.faults.failing_ports import MemoryChunks

DATA = some_bytes(2 * MIB + 5)
STALE = b"stale"  # as long as the last chunk; the bytes of a lost request, which never counted


@pytest.fixture
def ports(database: Database) -> Ports:
    return mongo_ports(database, lease_seconds=60)


async def opened(ports: Ports, content: Content | None = None, *, length: int | None = len(DATA)) -> Content:
    return await ports.contents.open_upload(
        content.id if content else ports.contents.new_id(),
        file_id=A_FILE,
        filename="run.h5",
        content_type="application/x-hdf5",
        length=length,
        fence=content.fence + 1 if content else 1,
    )


async def test_chunk_from_before_the_length_was_known_does_not_stand_for_the_last_bytes(ports: Ports) -> None:
    """Its request had a wrong checksum, so its bytes never counted. It is longer than the last chunk."""
    intake = ports.intake_with(15)
    content = await opened(ports, length=None)
    await intake.store_tail(content.id, fence=1, n=2, data=DATA[2 * MIB :], digest=chunk_digest(DATA[2 * MIB :]))
    content = await opened(ports, content, length=None)
    await store(intake, content, segment(DATA[: 2 * MIB] + some_bytes(MIB)))
    content = await opened(ports, content)
    worker: Any = SimpleNamespace(contents=ports.contents, chunks=MemoryChunks(intake))
    await store_tail(worker, content)
    sealed = await intake.seal(content.id, fence=content.fence, seal=seal_of(DATA))
    assert await read(ports.contents, sealed) == DATA


async def test_damaged_tail_that_is_not_needed_does_no_harm(ports: Ports, database: Database) -> None:
    intake = ports.intake_with(15)
    content = await opened(ports)
    await intake.store_tail(content.id, fence=1, n=2, data=STALE, digest=chunk_digest(STALE))
    await store(intake, content, segment(DATA))
    await database["tails"].update_many({}, {"$set": {"data": b"other"}})
    worker: Any = SimpleNamespace(contents=ports.contents, chunks=MemoryChunks(intake))
    await store_tail(worker, content)


@pytest.mark.parametrize(
    ("chunks", "tail"),
    [(2, DATA[2 * MIB :]), (2, DATA[2 * MIB :] + b"past the end"), (3, None), (3, STALE), (3, DATA[2 * MIB :])],
)
async def test_last_chunk_is_the_stored_one_or_else_the_tail(ports: Ports, chunks: int, tail: bytes | None) -> None:
    intake = ports.intake_with(15)
    content = await opened(ports)
    if tail is not None:
        await intake.store_tail(content.id, fence=1, n=2, data=tail, digest=chunk_digest(tail))
    await store(intake, content, segment(DATA, 0, chunks))
    content = await opened(ports, content)
    worker: Any = SimpleNamespace(contents=ports.contents, chunks=MemoryChunks(intake))
    await store_tail(worker, content)
    sealed = await intake.seal(content.id, fence=content.fence, seal=seal_of(DATA))
    assert await read(ports.contents, sealed) == DATA
