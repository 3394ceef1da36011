"""Bytes cut into segments, and helpers that store and read them through the ports."""

import asyncio
import hashlib
import random
from collections.abc import Iterable
from contextlib import closing
from functools import cache

from bson import ObjectId

from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.chunking import CHUNK_BYTES, SEGMENT_MAX_CHUNKS, chunk_count
from gridhaul.transfer.digest import chunk_digest, manifest_root
from gridhaul.transfer.model import Content, RecordId, Seal, Segment
from gridhaul.transfer.ports.contents import Chunks, Contents, Intake
from tests.contracts.ports import A_FILE

MIB = CHUNK_BYTES


@cache
def some_bytes(length: int) -> bytes:
    """Return pseudo-random bytes: always the same for a length, and no two chunks alike."""
    return random.Random(length).randbytes(length)


def segment(data: bytes, first: int = 0, count: int = SEGMENT_MAX_CHUNKS) -> Segment:
    """Return the segment of up to `count` chunks of `data`, from number `first` on."""
    numbers = range(first, min(first + count, chunk_count(len(data))))
    chunks = tuple(data[n * CHUNK_BYTES : (n + 1) * CHUNK_BYTES] for n in numbers)
    return Segment(first=first, chunks=chunks, digests=tuple(chunk_digest(chunk) for chunk in chunks))


def segments(data: bytes) -> Iterable[Segment]:
    return (segment(data, first) for first in range(0, chunk_count(len(data)), SEGMENT_MAX_CHUNKS))


def seal_of(data: bytes) -> Seal:
    root = manifest_root(digest for each in segments(data) for digest in each.digests)
    return Seal(length=len(data), sha256=hashlib.sha256(data).hexdigest(), manifest_root=root)


def whole_content(data: bytes, *, content_id: RecordId | None = None, fence: int = 1) -> WholeContent:
    """Return the content that a worker sends for a small file of these bytes."""
    part = segment(data)
    return WholeContent(
        id=content_id or RecordId(str(ObjectId())),
        fence=fence,
        file_id=A_FILE,
        filename='$ä\n"\N{GRINNING FACE}',
        content_type="a/b",
        seal=seal_of(data),
        chunks=part.chunks,
        digests=part.digests,
    )


async def opened(contents: Contents, length: int, *, fence: int = 1, content_id: RecordId | None = None) -> Content:
    return await contents.open(
        content_id or contents.new_id(),
        file_id=A_FILE,
        filename="run.h5",
        content_type="application/x-hdf5",
        length=length,
        fence=fence,
    )


async def store(intake: Intake, content: Content, part: Segment) -> bool:
    return await intake.store(
        content.id, fence=content.fence, first=part.first, chunks=part.chunks, digests=part.digests
    )


async def sealed(contents: Contents, intake: Intake, data: bytes) -> Content:
    """Store and seal a new content of these bytes."""
    content = await opened(contents, len(data))
    for part in segments(data):
        await store(intake, content, part)
    return await intake.seal(content.id, fence=content.fence, seal=seal_of(data))


async def read(contents: Contents, content: Content, into: bytearray | None = None) -> bytearray:
    """Return all bytes of the content. If the read raises, `into` has the bytes that came before the error."""
    received = bytearray() if into is None else into
    await asyncio.to_thread(read_all, contents.read(content), received)
    return received


def read_all(chunks: Chunks, into: bytearray) -> None:
    with closing(chunks):
        for chunk in chunks:
            into += chunk
