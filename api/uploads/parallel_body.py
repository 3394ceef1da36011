"""The body of a request with chunks of a parallel upload: checked before it is sent to the chunk service."""

import asyncio
import itertools

from fastapi import Request

from api.uploads.body import declared_length, fast_enough
from api.uploads.parts import UploadParts
from gridhaul.asgi.body_parts import Pieces
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


async def read_segment(request: Request, file: File, *, first: int, parts: UploadParts) -> Segment:
    """Return the chunks of the body, whose digests are those in Chunk-Digests. The caller frees their memory.

    Raises DigestRequired, Malformed, DigestMismatch, LengthMismatch, LengthRequired, PayloadTooLarge, ChunkOutOfRange,
    RequestTimeout, and ClientDisconnect.
    """
    announced = read_chunk_digests(request.headers.get("Chunk-Digests"))
    _check_length(declared_length(request), file, first)
    pieces, chunks = Pieces(itertools.repeat(CHUNK_BYTES)), list[bytes]()
    try:
        async for part in fast_enough(request, parts.stall_seconds):
            for chunk in pieces.add(part):
                await parts.memory.take_chunk()
                chunks.append(chunk)
        if rest := pieces.rest():
            await parts.memory.take_chunk()
            chunks.append(rest)
        digests = await asyncio.to_thread(lambda: tuple(map(chunk_digest, chunks)))
        if list(digests) != announced:
            raise DigestMismatch("The chunks arrived with other bytes than Chunk-Digests says.")
    except BaseException:
        parts.memory.free_chunks(len(chunks))
        raise
    return Segment(first=first, chunks=tuple(chunks), digests=digests)


def _check_length(length: int | None, file: File, first: int) -> None:
    """Check the length of the body against the file, before the first byte is read."""
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
