"""The body of a request with chunks of a parallel upload: checked before it is sent to the chunk service."""

import asyncio
import itertools

from fastapi import Request

from api.uploads.body import declared_length, fast_enough
from gridhaul.outgoing.headers import read_chunk_digests
from gridhaul.transfer.chunking import CHUNK_BYTES, SEGMENT_MAX_BYTES, chunk_count, chunk_length
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.errors import (
    ChunkOutOfRange,
    DigestMismatch,
    LengthMismatch,
    LengthRequired,
    PayloadTooLarge,
)
from gridhaul.transfer.model import File, Segment
from gridhaul.transfer.pieces import cut


async def read_segment(request: Request, *, first: int, stall_seconds: float) -> Segment:
    """Return the chunks of the body, whose digests are those in Chunk-Digests. The caller holds memory for them.

    Raises DigestRequired, Malformed, DigestMismatch, RequestTimeout, and ClientDisconnect.
    """
    announced = read_chunk_digests(request.headers.get("Chunk-Digests"))
    pieces = cut(fast_enough(request, stall_seconds), itertools.repeat(CHUNK_BYTES))
    chunks = tuple([chunk async for chunk in pieces])
    digests = await asyncio.to_thread(lambda: tuple(map(chunk_digest, chunks)))
    if list(digests) != announced:
        raise DigestMismatch("The chunks arrived with other bytes than Chunk-Digests says.")
    return Segment(first=first, chunks=chunks, digests=digests)


def checked_count(request: Request, file: File, first: int) -> int:
    """Return the number of chunks in the body, before its first byte is read.

    Raises LengthMismatch, LengthRequired, PayloadTooLarge, ChunkOutOfRange, and Malformed.
    """
    length = declared_length(request)
    if length is None:
        raise LengthRequired("Content-Length is needed.")
    if not 0 < length <= SEGMENT_MAX_BYTES:
        error = LengthMismatch if not length else PayloadTooLarge
        raise error(f"A request has 1 to {SEGMENT_MAX_BYTES} bytes.")
    last = first + chunk_count(length) - 1
    if last >= file.chunk_count:
        raise ChunkOutOfRange(f"The file has {file.chunk_count} chunks.")
    if length != (last - first) * CHUNK_BYTES + chunk_length(file.length, last):
        raise LengthMismatch("Every chunk has 1 MiB, except for the last one of the file.")
    return chunk_count(length)
